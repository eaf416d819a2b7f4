"""The pipeline's own schema."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create what the pipeline remembers between runs."""
    run_file("0002_history_sync.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0002_history_sync.sql")
