"""What became of each message's media file."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the states of media files."""
    run_file("0004_media.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0004_media.sql")
