"""Rows of the CRM that no key names."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the memory of unknown rows, and of when they were looked for."""
    run_file("0017_unknown_rows.sql")


downgrade = refuse_downgrade
