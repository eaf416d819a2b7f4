"""Where messages and sessions stand in time."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add times to keys and sessions, and the memory of the CRM's sessions."""
    run_file("0016_spans.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0016_spans.sql")
