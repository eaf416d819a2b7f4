"""When days are looked at again."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    """Add what the checks of days follow from."""
    run_file("0014_coverage.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0014_coverage.sql")
