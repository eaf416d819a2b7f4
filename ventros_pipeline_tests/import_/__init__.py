"""The import without Dagster: over real HTTP, into a real Postgres."""
