"""Merges of people, and their reversal."""

from ventros_pipeline.crm.migrate import refuse_downgrade, run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make evidence name any two addresses; remember merges and what they moved."""
    run_file("0005_people.sql")


downgrade = refuse_downgrade
