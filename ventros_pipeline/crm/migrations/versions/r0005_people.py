"""Merges of people, and their reversal."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make evidence name any two addresses; remember merges and what they moved."""
    run_file("0005_people.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0005_people.sql")
