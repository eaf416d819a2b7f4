"""What signals are made of."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add counters, the breaker's moment, and what a person was told."""
    run_file("0022_signals.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0022_signals.sql")
