"""Slots and pace of WAHA servers, shared by all processes."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create what importers agree by."""
    run_file("0003_courtesy.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0003_courtesy.sql")
