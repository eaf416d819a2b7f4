"""What the next load need not look for again."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the memory of unknown rows and of looks for them, and the digest of a day."""
    run_file("0017_known_rows.sql")


downgrade = refuse_downgrade
