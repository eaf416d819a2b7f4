"""What the API's processes share."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the calls that rate limits are counted by."""
    run_file("0012_api.sql")


downgrade = refuse_downgrade
