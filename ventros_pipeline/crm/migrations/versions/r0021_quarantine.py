"""What became of rows in quarantine."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Let a row leave quarantine."""
    run_file("0021_quarantine.sql")


downgrade = refuse_downgrade
