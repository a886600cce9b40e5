#!/bin/sh
# One-shot: creates or upgrades Temporal's two databases. Safe to repeat.
set -eu

SQL_PASSWORD="$(cat /run/secrets/postgres-password)"
export SQL_PASSWORD

for part in temporal visibility; do
  database=temporal
  [ "$part" = temporal ] || database="temporal_$part"
  tool() { temporal-sql-tool --plugin postgres12 --endpoint postgres --port 5432 --user temporal --database "$database" "$@"; }
  tool create
  tool setup-schema -v 0.0
  tool update-schema -d "/etc/temporal/schema/postgresql/v12/$part/versioned"
done
