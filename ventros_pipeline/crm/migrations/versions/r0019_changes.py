"""What a run changed, so that it can be undone."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0019"
down_revision = "0017"


def upgrade() -> None:
    """Add the record of changes."""
    run_file("0019_changes.sql")


downgrade = refuse_downgrade
