"""Messages deleted for everyone, kept as tombstones."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Remember in which places of WAHA a message was missed."""
    run_file("0006_tombstones.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0006_tombstones.sql")
