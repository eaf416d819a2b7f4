"""What the sweep of unresolved people remembers."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the memory of questions asked, and ids for rows made once."""
    run_file("0007_sweep.sql")


downgrade = refuse_downgrade
