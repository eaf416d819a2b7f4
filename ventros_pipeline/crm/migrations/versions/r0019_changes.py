"""What a run changed, so that it can be undone."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0019"
down_revision = "0017"


def upgrade() -> None:
    """Add the record of changes."""
    run_file("0019_changes.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0019_changes.sql")
