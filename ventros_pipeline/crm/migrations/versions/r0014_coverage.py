"""When days are looked at again."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    """Add what the checks of days follow from."""
    run_file("0014_coverage.sql")


downgrade = refuse_downgrade
