"""Brings a database up to date with the migrations, and checks that the server counts batches once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files

from otel_usage.clickhouse import UNKNOWN_DATABASE, UNKNOWN_TABLE, ClickHouse, connect
from otel_usage.errors import ClickHouseError, SchemaError
from otel_usage.schema.migration import Migration, load_migrations
from otel_usage.schema.probe import EXACT, probe_deduplication
from otel_usage.schema.retention import retention_days_in_force, set_retention

_PROBE_VERSION = 0
_COLUMN_TYPES = {
    "version": "UInt32",
    "name": "String",
    "checksum": "String",
    "applied_at": "DateTime64(9, 'UTC')",
    "engine_version": "String",
    "result": "String",
}


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What `migrate` did, or would do."""

    applied: tuple[Migration, ...]
    """Migrations of this run, in order."""
    is_dry_run: bool
    retention: str = ""
    """What was done about the time that events are kept."""

    def lines(self) -> list[str]:
        """Return the report for people; of a dry run the statements themselves."""
        if self.is_dry_run:
            statements = [f"-- {migration}\n{migration.sql.strip()};\n" for migration in self.applied]
            return statements or ["-- Nothing to do: the schema is up to date"]
        done = [f"applied {migration}" for migration in self.applied] or ["the schema was up to date"]
        return [*done, "a batch that is sent twice counts once, in the views too", self.retention]


def migrate(
    client: ClickHouse, *, retention_days: int | None = None, dry_run: bool = False
) -> MigrationReport:
    """Apply the missing migrations in order; repeatable, also by two processes at once.

    Args:
        client: a connection to the database, which must exist (`connect(..., create_database=True)`).
        retention_days: days after which events are deleted; None leaves the present rule alone.
        dry_run: change nothing and report what would be applied.

    Raises:
        SchemaError: the database is newer than this version of otel_usage, an applied migration has been
            edited since, or the server does not deduplicate inserts.
        ClickHouseError: ClickHouse refused a statement.
    """
    missing = pending(client)
    if dry_run:
        return MigrationReport(missing, is_dry_run=True)
    client.command(_create_schema_migrations())
    for migration in missing:
        client.command(migration.sql)
        _record(client, migration.version, migration.name, migration.checksum, "applied")
    _record(client, _PROBE_VERSION, "deduplication_probe", "", probe_deduplication(client))
    return MigrationReport(missing, is_dry_run=False, retention=_apply_retention(client, retention_days))


def migrate_database(
    dsn: str, *, retention_days: int | None = None, dry_run: bool = False
) -> MigrationReport:
    """Do the same to a database that may not be there yet; it is then created, unless it is a dry run.

    Raises:
        SchemaError: see `migrate`.
        ClickHouseError: ClickHouse does not answer, or refused a statement.
    """
    try:
        client = connect(dsn, create_database=not dry_run)
    except ClickHouseError as error:
        if not (dry_run and error.code == UNKNOWN_DATABASE):
            raise
        return MigrationReport(load_migrations(), is_dry_run=True)
    with closing(client):
        return migrate(client, retention_days=retention_days, dry_run=dry_run)


def pending(client: ClickHouse) -> tuple[Migration, ...]:
    """Return the migrations that the database has not seen, in order.

    Raises:
        SchemaError: see `migrate`.
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


def deduplicates(client: ClickHouse) -> bool:
    """Return whether the latest probe found that batches count once. The table must exist."""
    rows = client.query(
        "SELECT result FROM schema_migrations FINAL WHERE version = {version:UInt32}",
        {"version": _PROBE_VERSION},
    ).rows
    return [row[0] for row in rows] == [EXACT]


def _create_schema_migrations() -> str:
    return files(__package__).joinpath("create_schema_migrations.sql").read_text("utf-8")


def _applied_checksums(client: ClickHouse) -> Mapping[int, str]:
    try:
        rows: Sequence[tuple[int, str]] = client.query(
            "SELECT version, checksum FROM schema_migrations FINAL WHERE version != {probe:UInt32}",
            {"probe": _PROBE_VERSION},
        ).rows
    except ClickHouseError as error:
        if error.code != UNKNOWN_TABLE:
            raise
        return {}
    return dict(rows)


def _record(client: ClickHouse, version: int, name: str, checksum: str, result: str) -> None:
    now_ns = time.time_ns()
    row = (version, name, checksum, now_ns, client.server_version, result)
    client.insert(
        "schema_migrations",
        list(_COLUMN_TYPES),
        list(_COLUMN_TYPES.values()),
        [[value] for value in row],
        token=f"{name}-{checksum}-{now_ns}",
    )


def _apply_retention(client: ClickHouse, days: int | None) -> str:
    if days is None:
        present = retention_days_in_force(client)
        return (
            "events are kept for ever"
            if present is None
            else f"events are deleted after {present} days, as set before; OTEL_USAGE_RETENTION_DAYS is unset now"
        )
    is_new = set_retention(client, days)
    return f"events are deleted after {days} days{', from now on' if is_new else ''}"
