"""Whose rows a transaction may see and write."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Force row-level security on every table of this schema."""
    run_file("0023_tenants.sql")


downgrade = refuse_downgrade
