"""What the API's processes share."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the calls that rate limits are counted by."""
    run_file("0012_api.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0012_api.sql")
