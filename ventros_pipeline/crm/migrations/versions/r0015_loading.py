"""What a load leaves for the next one."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the memory of loaded rows."""
    run_file("0015_loading.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0015_loading.sql")
