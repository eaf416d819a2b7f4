"""The thin Dagster room: what is defined, and what its runs leave in the CRM and the event log."""
