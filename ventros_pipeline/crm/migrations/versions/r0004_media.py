"""What became of each message's media file."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the states of media files."""
    run_file("0004_media.sql")


downgrade = refuse_downgrade
