"""What the sweep of unresolved people remembers."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the memory of questions asked, and ids for rows made once."""
    run_file("0007_sweep.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0007_sweep.sql")
