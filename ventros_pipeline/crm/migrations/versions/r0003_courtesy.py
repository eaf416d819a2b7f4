"""Slots and pace of WAHA servers, shared by all processes."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create what importers agree by."""
    run_file("0003_courtesy.sql")


downgrade = refuse_downgrade
