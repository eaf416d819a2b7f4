"""Alembic's side of the migrations: the order. What a revision does is plain SQL under `sql/`."""
