"""The CRM's tables, only where there is no CRM."""

from ventros_pipeline.crm.migrate import crm_exists, refuse_back, run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the baseline, or leave the CRM that is there alone."""
    run_file("0001_crm_baseline.sql", skip_if=crm_exists)


downgrade = refuse_back
