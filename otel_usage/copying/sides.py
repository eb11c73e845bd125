"""The two databases of a copy: both of this version's schema, and not one and the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from otel_usage.clickhouse import UNKNOWN_DATABASE, ClickHouse, connect
from otel_usage.cures import migrate_command
from otel_usage.data_directory import has_engine_layout
from otel_usage.dsn import Dsn, parse_dsn
from otel_usage.errors import ClickHouseError, SchemaError, SettingError
from otel_usage.importers.patience import until_taken
from otel_usage.schema import pending
from otel_usage.schema.form import form_of

_Result = TypeVar("_Result")

PATIENCE_SECONDS = 300.0
"""How long a server may be away: it takes its time to start again with a lot of data."""
_LONG_SECONDS = 600
"""How long ClickHouse may take for one statement."""


def ask(
    client: ClickHouse, sql: str, parameters: Mapping[str, object] | None = None
) -> list[tuple[Any, ...]]:
    """Return the rows of a query, tried again for a while when nobody answers.

    Raises:
        OtelUsageError: nobody did.
    """
    return patiently(client, lambda: client.query(sql, parameters).rows)


def patiently(client: ClickHouse, send: Callable[[], _Result]) -> _Result:
    """Return the answer to any statement that may be repeated, in the same way.

    Raises:
        OtelUsageError: nobody answered.
    """
    return until_taken(send, seconds=PATIENCE_SECONDS, what=f"{client.dsn!r} did not answer")


def wait_for_replicas(client: ClickHouse, tables: Iterable[str]) -> None:
    """Wait until each replica of a cluster has what the others have: a question may go to any of them.

    Without it events that one replica has not fetched yet would be taken for missing, and stored a second time.
    """
    form = form_of(client)
    for statement in (statement for table in tables for statement in form.settle(table)):
        # A replica that is away is not asked either.
        client.command(statement, settings={"distributed_ddl_output_mode": "null_status_on_timeout"})


class Sides(NamedTuple):
    """Connections to both."""

    source: ClickHouse
    """Only read."""
    target: ClickHouse


@contextmanager
def open_sides(source_dsn: str, target_dsn: str) -> Iterator[Sides]:
    """Connect to both, and close them in the end.

    Raises:
        SettingError: a DSN cannot be used, or both are the same database.
        ClickHouseError: one of them does not answer.
        SchemaError: the source is not there, or one of them lacks migrations, or has some that this version does not
            know.
    """
    source, target = _parse("--from", source_dsn), _parse("--to", target_dsn)
    if _place(source) == _place(target):
        raise _same(source)
    if source.scheme == target.scheme == "chdb" and source.path != target.path:
        raise SettingError(
            "Both DSNs are chdb://, and a process can open one data directory. Run `otel-usage serve` on one of them"
        )
    with (
        closing(_connect_to_source(source_dsn, source)) as read,
        closing(connect(target_dsn, receive_timeout_seconds=_LONG_SECONDS)) as written,
    ):
        if _database_uuid(read) == _database_uuid(written):
            raise _same(source)
        _check_schema("source", read)
        _check_schema("target", written)
        yield Sides(read, written)


def _parse(option: str, dsn: str) -> Dsn:
    try:
        return parse_dsn(dsn)
    except SettingError as error:
        raise SettingError(f"{option}: {error}") from None


def _place(dsn: Dsn) -> tuple[object, ...]:
    return (dsn.scheme == "chdb", dsn.host, dsn.port, dsn.path, dsn.database)


def _same(dsn: Dsn) -> SettingError:
    return SettingError(f"--from and --to are the same database, {dsn!r}. Name another one")


def _connect_to_source(text: str, dsn: Dsn) -> ClickHouse:
    # Not to be made with `otel-usage migrate`: from an empty one a copy would bring nothing, and end well.
    missing = SchemaError(f"--from: there is no database {dsn!r}. Look at its name, the last part of the DSN")
    if dsn.scheme == "chdb" and not has_engine_layout(Path(dsn.path), dsn.database):
        raise missing
    try:
        return connect(text, receive_timeout_seconds=_LONG_SECONDS)
    except ClickHouseError as error:
        if error.code == UNKNOWN_DATABASE:
            raise missing from None
        raise


def _database_uuid(client: ClickHouse) -> object:
    # The same under each name and port of a server.
    rows = client.query("SELECT uuid FROM system.databases WHERE name = currentDatabase()").rows
    return rows[0][0] if rows else client


def _check_schema(side: str, client: ClickHouse) -> None:
    try:
        missing = pending(client)
    except SchemaError as error:
        raise SchemaError(f"The {side}: {error}") from None
    if missing:
        raise SchemaError(
            f"The schema of the {side}, {client.dsn!r}, is old or missing: it lacks {missing[0]}. "
            f"Run: {migrate_command(client.dsn.masked)}"
        )
