"""Which migrations a database has had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otel_usage.clickhouse import UNKNOWN_TABLE, ClickHouse
from otel_usage.errors import ClickHouseError, SchemaError
from otel_usage.schema.migration import Migration, load_migrations

PROBE_VERSION = 0
"""Under which the result of the deduplication probe stands among the migrations."""


def pending(client: ClickHouse) -> tuple[Migration, ...]:
    """Return the migrations that the database has not seen, in order.

    Raises:
        SchemaError: the database is newer than this version of otel_usage, or an applied migration has been
            edited since.
    """
    known = load_migrations()
    applied = _applied_checksums(client)
    unknown = sorted(applied.keys() - {migration.version for migration in known})
    if unknown:
        raise SchemaError(
            f"The database '{client.dsn.database}' has migration {unknown[-1]:04}, but this version of otel_usage "
            f"ends with {known[-1]}. Install the version that made the database, or a later one"
        )
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SchemaError(
                f"Migration {migration} is not the one that was applied to '{client.dsn.database}'. An applied "
                "migration is never edited: restore the file, or migrate into a new database"
            )
    return tuple(migration for migration in known if migration.version not in applied)


def _applied_checksums(client: ClickHouse) -> Mapping[int, str]:
    try:
        rows: Sequence[tuple[int, str]] = client.query(
            "SELECT version, checksum FROM schema_migrations FINAL WHERE version != {probe:UInt32}",
            {"probe": PROBE_VERSION},
        ).rows
    except ClickHouseError as error:
        if error.code != UNKNOWN_TABLE:
            raise
        return {}
    return dict(rows)
