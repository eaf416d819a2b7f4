"""What the parts of a WAHA id say, in one place."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add functions that take a WAHA id apart."""
    run_file("0011_waha_ids.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0011_waha_ids.sql")
