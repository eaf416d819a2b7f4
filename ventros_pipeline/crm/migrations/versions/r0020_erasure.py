"""People who were erased."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add tombstones and the record of erasures."""
    run_file("0020_erasure.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0020_erasure.sql")
