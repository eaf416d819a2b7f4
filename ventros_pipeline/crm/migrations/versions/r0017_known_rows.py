"""What the next load need not look for again."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the memory of unknown rows and of looks for them, and the digest of a day."""
    run_file("0017_known_rows.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0017_known_rows.sql")
