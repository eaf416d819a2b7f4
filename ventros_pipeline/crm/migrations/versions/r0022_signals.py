"""What signals are made of."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add counters, the breaker's moment, and what a person was told."""
    run_file("0022_signals.sql")


downgrade = refuse_downgrade
