#!/bin/bash
# Writes secrets/ for compose.yaml, each file once: what is there stays. WAHA's key comes from you.
#   WAHA_KEY=the-key-of-your-session ventros_pipeline/deploy/make-secrets.sh
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
# Nobody else on this host gets in here; whoever reads a file in its container has another number.
chmod 700 secrets

once() {
  [ -e "secrets/$1" ] || printf '%s\n' "$2" > "secrets/$1"
  chmod 444 "secrets/$1"
}
drawn() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

once POSTGRES_PASSWORD "$(drawn)"
once DAGSTER_PASSWORD "$(drawn)"
once redis.conf "requirepass $(drawn)"
once pgbouncer_users "\"dagster\" \"$(cat secrets/DAGSTER_PASSWORD)\""
once VENTROS_DATABASE_URL "postgresql+psycopg://ventros:$(cat secrets/POSTGRES_PASSWORD)@postgres:5432/ventros"
once VENTROS_DAGSTER_DATABASE_URL "postgresql+psycopg2://dagster:$(cat secrets/DAGSTER_PASSWORD)@pgbouncer:6432/dagster"
once VENTROS_BROKER_URL "redis://:$(sed 's/^requirepass //' secrets/redis.conf)@redis:6379/0"
once WAHA_KEY "${WAHA_KEY:?set WAHA_KEY to the key of your WAHA}"
once waha.env "WAHA_API_KEY=$WAHA_KEY"
