"""The one module that speaks to ClickHouse: connections, inserts that count once, queries, errors sorted.

The driver is imported on the first connection, so that an app that exports elsewhere never loads it.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from otel_usage.clickhouse_errors import INSERTS_HELD as INSERTS_HELD
from otel_usage.clickhouse_errors import MISSING_SCHEMA_CODES as MISSING_SCHEMA_CODES
from otel_usage.clickhouse_errors import UNKNOWN_DATABASE as UNKNOWN_DATABASE
from otel_usage.clickhouse_errors import UNKNOWN_TABLE as UNKNOWN_TABLE
from otel_usage.clickhouse_errors import errors_sorted
from otel_usage.data_directory import has_engine_layout, holder_of, is_empty
from otel_usage.dsn import Dsn, parse_dsn
from otel_usage.errors import ClickHouseUnavailable, SettingError
from otel_usage.native_format import NativeBlock as NativeBlock
from otel_usage.native_format import compress_blocks as compress_blocks
from otel_usage.native_format import encode_native as encode_native
from otel_usage.native_format import load_driver as load_driver
from otel_usage.native_format import split_blocks

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.query import QueryResult as DriverResult

_STREAM_BYTES = 65_536
_COMPRESSION = "lz4"
_BROKEN_OFF = "ClickHouse broke off in the middle of its answer. Try again"

_EXACTLY_ONCE = {
    # Named on every insert, because an account's profile may say otherwise.
    "insert_deduplicate": 1,
    # Older servers have 0 as the default, and would count a retry twice in the views.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # The answer must mean "stored", and a token does not travel through the asynchronous queue.
    "async_insert": 0,
    # The same of the tables of a cluster: the shards have the rows, not a queue of the server that was asked.
    "distributed_foreground_insert": 1,
}


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Rows of a query, with the names and ClickHouse types of their columns."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def connect(
    dsn: str,
    *,
    create_database: bool = False,
    needs_database: bool = True,
    connect_timeout_seconds: int = 5,
    receive_timeout_seconds: int = 30,
) -> ClickHouse:
    """Return a connection to the DSN's database.

    Args:
        dsn: see `parse_dsn`. A `chdb` DSN opens the engine in this process, which must not fork afterwards
            and keeps other processes out of its directory.
        create_database: create the database first, if it is missing.
        needs_database: False to ask the server itself, where the database may be missing.
        connect_timeout_seconds: how long a new connection may take.
        receive_timeout_seconds: how long ClickHouse may be silent.

    Raises:
        SettingError: the DSN cannot be used.
        ClickHouseUnavailable: nobody answers (then it is a `NoAnswer`), or not yet.
    """
    parsed = parse_dsn(dsn)
    timeouts: dict[str, Any] = {
        "connect_timeout": connect_timeout_seconds,
        "send_receive_timeout": receive_timeout_seconds,
    }
    with errors_sorted(parsed):
        if parsed.scheme == "chdb":
            _check_directory(parsed, create=create_database)
        if create_database:
            server = _open(parsed, None, timeouts)
            try:
                # Atomic, because chDB's default engine knows neither EXCHANGE nor refreshable views.
                server.command(f"CREATE DATABASE IF NOT EXISTS {parsed.database} ENGINE = Atomic")
            finally:
                _close(server)
        return ClickHouse(_open(parsed, parsed.database if needs_database else None, timeouts), parsed)


def _check_directory(dsn: Dsn, *, create: bool) -> None:
    """Look into the directory before the engine does, which makes it, or overwrites what others keep there."""
    data = Path(dsn.path)
    holder = holder_of(data)
    if holder and holder != f"process {os.getpid()}":
        raise ClickHouseUnavailable(
            f"The data directory {data} is in use by {holder}. "
            "Ask that one by its http:// address if it is `otel-usage serve`, or stop it"
        )
    if has_engine_layout(data):
        return
    if not create:
        command = shlex.join(["otel-usage", "migrate", "--dsn", dsn.masked])
        raise ClickHouseUnavailable(f"{data}: no such data directory. To make it, run: {command}")
    if not is_empty(data):
        raise SettingError(
            f"The directory {data} is not empty and no data directory; name another in the DSN"
        )


def _open(dsn: Dsn, database: str | None, timeouts: Mapping[str, Any]) -> Client:
    import clickhouse_connect

    common: dict[str, Any] = {
        "database": database,
        "settings": {"log_comment": "otel_usage"},
        "tz_mode": "aware",
        "show_clickhouse_errors": True,
    }
    if dsn.scheme == "chdb":
        return clickhouse_connect.get_client(interface="chdb", path=dsn.path, **common)
    options: dict[str, Any] = dict(dsn.options)
    return clickhouse_connect.get_client(
        interface=dsn.scheme,
        host=dsn.host,
        port=dsn.port,
        username=dsn.username or None,
        password=dsn.password,
        compress=True,
        # Whoever calls retries, with the same token; a hidden second try would only blur the time-outs.
        query_retries=0,
        # A session binds all statements of a client to one at a time, and is remembered by the server.
        autogenerate_session_id=False,
        **_pool_options(dsn),
        **timeouts,
        **common,
        **options,
    )


def _pool_options(dsn: Dsn) -> dict[str, Any]:
    # The driver's common pool would be shared with a forked child, socket by socket. A pool of its own it would
    # send through the proxy of HTTP_PROXY, from where this very computer cannot be reached.
    if dsn.scheme == "http" and _is_loopback(dsn.host):
        from clickhouse_connect.driver.httputil import get_pool_manager

        return {"pool_mgr": get_pool_manager()}
    return {"dedicated_pool": True}


def _close(client: Client) -> None:
    # The driver does not close a pool that it did not make.
    client.close_connections()
    client.close()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class ClickHouse:
    """One connection (over HTTP: a pool of them). Made by `connect`.

    Every method raises `ClickHouseUnavailable` for what may pass and `ClickHouseError` for what never will.
    """

    def __init__(self, client: Client, dsn: Dsn) -> None:
        self._client = client
        self.dsn = dsn

    @property
    def server_version(self) -> str:
        """Version of the server, such as `24.8.4.13`."""
        return str(self._client.server_version)

    def insert(
        self,
        table: str,
        column_names: Sequence[str],
        column_types: Sequence[str],
        columns: Sequence[Sequence[Any]],
        token: str,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Insert a batch column by column, once per token.

        Args:
            table: name of a table of the database.
            column_names: the columns that are given; others get their defaults.
            column_types: types on the wire, which ClickHouse casts to the table's.
            columns: one sequence of values per column, all equally long. Times are nanoseconds,
                addresses 16 raw bytes declared `FixedString(16)`.
            token: names the batch. The same batch sent again with it changes nothing; other rows sent with it
                are silently lost.
            settings: further ClickHouse settings of this insert.
        """
        if not columns or not len(columns[0]):
            return
        with errors_sorted(self.dsn, encoding=True):
            block = encode_native(column_names, column_types, columns)
        self.insert_native(table, column_names, block, token, settings)

    def insert_native(
        self,
        table: str,
        column_names: Sequence[str],
        block: bytes,
        token: str,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Insert rows that are encoded already, once per token.

        Args:
            table: name of a table of the database.
            column_names: the block's columns.
            block: what `encode_native` returned.
            token: as for `insert`.
            settings: further ClickHouse settings of this insert.
        """
        with errors_sorted(self.dsn):
            self._client.raw_insert(
                table,
                column_names,
                block,
                settings=self._insert_settings(table, token, settings),
                fmt="Native",
                compression=_COMPRESSION,
            )

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        formats: Mapping[str, str] | None = None,
    ) -> QueryResult:
        """Return the rows of a query.

        Args:
            sql: one SELECT; values are bound as `{name:Type}`.
            parameters: value by name.
            settings: ClickHouse settings of this query, such as `log_comment`.
            formats: the driver's read formats by ClickHouse type, such as `{"DateTime64": "int"}` for
                nanoseconds where Python's datetime would cut them off.
        """
        with errors_sorted(self.dsn):
            result = self._run_query(sql, parameters, settings, formats)
            columns, types = tuple(result.column_names), tuple(type_.name for type_ in result.column_types)
            if not columns:
                # The Native format says nothing of a result without rows, not even its columns.
                described = self._run_query(f"DESCRIBE TABLE ({sql}\n)", parameters, settings, None)
                columns = tuple(row[0] for row in described.result_rows)
                types = tuple(row[1] for row in described.result_rows)
            return QueryResult(columns, types, [tuple(row) for row in result.result_rows])

    def _run_query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None,
        settings: Mapping[str, Any] | None,
        formats: Mapping[str, str] | None,
    ) -> DriverResult:
        return self._client.query(
            sql,
            parameters=dict(parameters or {}),
            settings=dict(settings or {}),
            query_formats=dict(formats or {}),
        )

    def stream_json(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query one by one, as ClickHouse's JSON says them; holds some of them at a time.

        Args:
            sql: one SELECT; values are bound as `{name:Type}`.
            parameters: value by name.
            settings: ClickHouse settings of this query, such as `date_time_output_format`.
        """
        with errors_sorted(self.dsn):
            answer = cast(
                BinaryIO,
                self._client.raw_stream(
                    sql, parameters=dict(parameters or {}), settings=dict(settings or {}), fmt="JSONEachRow"
                ),
            )
        try:
            rest = b""
            while True:
                # Not around the yield: what the caller does with a row is no error of ours.
                with errors_sorted(self.dsn):
                    part = answer.read(_STREAM_BYTES)
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    yield _json_row(line)
                if not part:
                    break
            if rest:
                yield _json_row(rest)
        finally:
            answer.close()

    def query_blocks(
        self, columns: Sequence[str], rest: str, parameters: Mapping[str, Any] | None = None
    ) -> list[NativeBlock]:
        """Return the rows of a query as blocks that `insert_native` takes, compressed with `compress_blocks`.

        Args:
            columns: expressions of the columns.
            rest: the query from its FROM on.
            parameters: value by name.
        """
        # Random, so that no text that a visitor has sent can look like it.
        end_column = f"end_{secrets.token_hex(12)}"
        with errors_sorted(self.dsn):
            answer = self._client.raw_query(
                f"SELECT {', '.join(columns)}, toUInt8(0) AS {end_column} {rest}",
                parameters=dict(parameters or {}),
                fmt="Native",
            )
        try:
            return split_blocks(answer, end_column)
        except ValueError as error:
            raise ClickHouseUnavailable(_BROKEN_OFF) from error

    def command(self, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns no rows."""
        with errors_sorted(self.dsn):
            self._client.command(sql, settings=dict(settings or {}))

    def close(self) -> None:
        """Give back the connections. A chDB engine stops with its last connection."""
        with errors_sorted(self.dsn):
            _close(self._client)

    def _insert_settings(self, table: str, token: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            **(settings or {}),
            **_EXACTLY_ONCE,
            "insert_deduplication_token": token,
            "log_comment": f"otel_usage insert {table}",
        }


def _json_row(line: bytes) -> dict[str, Any]:
    try:
        # ClickHouse's texts are bytes, of which some may be no UTF-8.
        row = json.loads(line.decode("utf-8", "replace"))
    except ValueError:
        row = None
    if not isinstance(row, dict):
        # An error in mid-answer comes as text, because the status has been sent.
        raise ClickHouseUnavailable(_BROKEN_OFF)
    return row
