"""Whose rows a transaction may see and write."""

from ventros_pipeline.crm.migrate import run_file, take_back

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Force row-level security on every table of this schema."""
    run_file("0023_tenants.sql")


def downgrade() -> None:
    """Take it back; its file says what that loses."""
    take_back("0023_tenants.sql")
