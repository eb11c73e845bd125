#!/bin/bash
# Prints the SQL that makes the accounts of users.sql and gives them the passwords of the environment.
#
# docker-compose.yml pipes it into clickhouse-client at each start, so that a password that is changed in .env is
# changed in ClickHouse too. Scripts in the image's /docker-entrypoint-initdb.d run with an empty volume alone.
# The server gets a hash, made here: no password stands in its query log, and none needs to be quoted.
set -euo pipefail

cat "$(dirname "$0")/users.sql"
for account in writer collector grafana migrator; do
    variable="CLICKHOUSE_${account^^}_PASSWORD"
    if [ -z "${!variable:-}" ]; then
        echo "accounts.sh: $variable is empty, expected the password of otel_usage_$account" >&2
        exit 1
    fi
    hash=$(printf %s "${!variable}" | sha256sum | cut -d ' ' -f 1)
    echo "ALTER USER otel_usage_$account IDENTIFIED WITH sha256_hash BY '$hash';"
done
