"""Imports as one thing each, and the runs that belong to them."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the memory of imports."""
    run_file("0008_lifecycle.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0008_lifecycle.sql")
