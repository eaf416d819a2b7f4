"""What a load leaves for the next one."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the memory of loaded rows."""
    run_file("0015_loading.sql")


downgrade = refuse_downgrade
