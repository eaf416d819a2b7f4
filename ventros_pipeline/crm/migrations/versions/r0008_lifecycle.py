"""Imports as one thing each, and the runs that belong to them."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the memory of imports."""
    run_file("0008_lifecycle.sql")


downgrade = refuse_downgrade
