"""Who stands in a group, and the agents of imported sessions."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the members of groups to the directory; record agents of sessions of earlier imports."""
    run_file("0009_rows.sql")


downgrade = refuse_downgrade
