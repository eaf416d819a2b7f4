"""Everything that knows Postgres: the CRM's tables, migrations, loading, identities, the ledger."""
