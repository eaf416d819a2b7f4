"""The pipeline's own schema."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create what the pipeline remembers between runs."""
    run_file("0002_history_sync.sql")


downgrade = refuse_downgrade
