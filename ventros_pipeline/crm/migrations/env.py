"""Runs the revisions on the connection that `crm.migrate` hands over; it already holds the lock.

No `alembic.ini` and no logging configuration: both would be the host program's, and Alembic's
`fileConfig` silences every logger that exists by then.
"""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="history_sync",
    # A failure in the second file must not take back the first one.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
