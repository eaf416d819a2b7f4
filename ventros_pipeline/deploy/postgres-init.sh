#!/bin/bash
# Run once by the image of Postgres: a database of its own for Dagster, under a role of its own.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -v password="$(cat /run/secrets/DAGSTER_PASSWORD)" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE dagster LOGIN PASSWORD :'password';
CREATE DATABASE dagster OWNER dagster;
SQL
