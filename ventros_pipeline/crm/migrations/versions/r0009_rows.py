"""Who stands in a group, and the agents of imported sessions."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the members of groups to the directory; record agents of sessions of earlier imports."""
    run_file("0009_rows.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0009_rows.sql")
