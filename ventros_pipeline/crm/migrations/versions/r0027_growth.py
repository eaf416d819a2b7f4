"""Tables that grow with messages."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0027"
down_revision = "0023"


def upgrade() -> None:
    """Let large tables be cleaned earlier."""
    run_file("0027_growth.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0027_growth.sql")
