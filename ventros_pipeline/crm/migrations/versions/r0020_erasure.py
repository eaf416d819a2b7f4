"""People who were erased."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add tombstones and the record of erasures."""
    run_file("0020_erasure.sql")


downgrade = refuse_downgrade
