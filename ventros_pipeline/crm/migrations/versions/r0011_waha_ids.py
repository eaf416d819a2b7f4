"""What the parts of a WAHA id say, in one place."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add functions that take a WAHA id apart."""
    run_file("0011_waha_ids.sql")


downgrade = refuse_downgrade
