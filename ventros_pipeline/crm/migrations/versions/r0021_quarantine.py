"""What became of rows in quarantine."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Let a row leave quarantine."""
    run_file("0021_quarantine.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0021_quarantine.sql")
