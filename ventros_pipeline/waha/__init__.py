"""Everything that knows WAHA: its client, its engines' reading strategies, wire models and ids.

Nothing in here knows Dagster, Postgres or what a message means to the CRM.
"""
