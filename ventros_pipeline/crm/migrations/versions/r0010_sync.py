"""Plans of imports, how far each day is known, hints of what has changed."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add plans, checks of days, sync state and hints."""
    run_file("0010_sync.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0010_sync.sql")
