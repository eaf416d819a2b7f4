"""Messages deleted for everyone, kept as tombstones."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Remember in which places of WAHA a message was missed."""
    run_file("0006_tombstones.sql")


downgrade = refuse_downgrade
