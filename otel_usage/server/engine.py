"""Owns the one chDB engine of this process; the only module that imports chdb."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from otel_usage.data_directory import check_ownership, holder_of, mark
from otel_usage.errors import OtelUsageError
from otel_usage.server.engine_config import write_config
from otel_usage.server.insert_tokens import forget_tokens_without_part
from otel_usage.server.private_directory import PrivateDirectory
from otel_usage.server.sql_guard import Catalogue, FunctionRow

_CODE = re.compile(r"Code: (\d+)\.")


class EngineError(Exception):
    """The engine refused a statement.

    Attributes:
        code: ClickHouse's error code, 0 when the engine gave none.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = _CODE.search(message)
        self.code = int(found.group(1)) if found else 0


class Answer(NamedTuple):
    """What the engine answered: the formatted rows, and counts for the summary."""

    body: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    elapsed_seconds: float

    def pairs(self) -> dict[str, str]:
        """Return a result of two text columns in the format JSONCompact as a mapping."""
        return dict(json.loads(self.body)["data"])


class EngineHandle:
    """A view of the engine with a current database, settings and temporary tables of its own. For one thread at a time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def run(
        self, sql: str, output_format: str = "TabSeparated", parameters: Mapping[str, str] | None = None
    ) -> Answer:
        """Run a statement that the guard has accepted.

        Raises:
            EngineError: the engine's own text, which may quote data.
        """
        try:
            result = self._connection.query(sql, output_format, params=dict(parameters or {}))
        except Exception as error:
            raise EngineError(str(error)) from None
        return Answer(
            bytes(result.bytes() or b""),
            result.rows_read(),
            result.bytes_read(),
            result.rows_written(),
            result.elapsed(),
        )

    def use(self, database: str) -> None:
        """Make a database the current one."""
        self.run(f"USE {quoted_name(database)}")

    def set(self, settings: Mapping[str, str]) -> None:
        """Change settings for all later statements of this handle."""
        if settings:
            self.run("SET " + ", ".join(f"{name} = {quoted_text(value)}" for name, value in settings.items()))

    def close(self) -> None:
        """Give the handle back."""
        self._connection.close()


class Engine:
    """The engine over one data directory.

    Args:
        data: the data directory, which is created; absolute.

    Raises:
        SettingError: the directory holds what is not ours.
        OtelUsageError: the directory cannot be used; one line that says why and what to do.
    """

    def __init__(self, data: Path) -> None:
        _prepare_directory(data)
        forget_tokens_without_part(data)
        self.bodies = PrivateDirectory(data)
        config = write_config(self.bodies.path)
        # chdb opens an engine while it is imported, with the config.xml of the working directory if there is one;
        # and the engine resolves relative names there. In the private directory there is only ours.
        os.chdir(self.bodies.path)
        import chdb

        self._connect = cast(Callable[[str], Any], chdb.connect)
        self._address = f"{data}?config-file={config}"
        try:
            # Keeps the engine open while no request holds a handle.
            self._first = EngineHandle(self._connect(self._address))
        except RuntimeError as error:
            text = str(error).partition("\n")[0]
            raise OtelUsageError(
                f"Cannot open the engine on {data}: {text[:300]}. See that directory's owner"
            ) from None

    @contextmanager
    def handle(self) -> Iterator[EngineHandle]:
        """Give a fresh handle, so that nothing one request sets reaches another (a `readonly` sticks for ever)."""
        handle = self.open_handle()
        try:
            yield handle
        finally:
            handle.close()

    def open_handle(self) -> EngineHandle:
        """Return a handle that the caller closes."""
        return EngineHandle(self._connect(self._address))

    def catalogue(self) -> Catalogue:
        """Return what the engine knows by name."""
        functions = [
            FunctionRow(name, alias_to, category, is_aggregate == "1")
            for name, alias_to, category, is_aggregate in self._rows(
                "SELECT name, alias_to, categories, is_aggregate FROM system.functions"
            )
        ]
        return Catalogue(
            functions,
            self._names("system.table_functions"),
            [*self._names("system.table_engines"), *self._names("system.database_engines")],
            self._names("system.data_type_families"),
            self._names("system.codecs"),
            self._names("system.formats"),
            {
                name: type_
                for table in ("system.merge_tree_settings", "system.settings")
                for name, type_ in self._rows(f"SELECT name, type FROM {table}")  # noqa: S608 - names from above
            },
        )

    def cancel_queries(self) -> None:
        """Make the engine give up all that is running; their callers get an error."""
        with self.handle() as handle:
            handle.run("KILL QUERY WHERE query_id != queryID()")

    def close(self) -> None:
        """Close the engine: all is on disk, and another process may open the directory."""
        self._first.close()
        self.bodies.remove()

    def _names(self, table: str) -> list[str]:
        return [row[0] for row in self._rows(f"SELECT name FROM {table}")]  # noqa: S608 - called with constants

    def _rows(self, sql: str) -> list[list[str]]:
        text = self._first.run(sql).body.decode()
        return [line.split("\t") for line in text.splitlines()]


def quoted_name(name: str) -> str:
    """Return an identifier in backquotes."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quoted_text(text: str) -> str:
    """Return a string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _prepare_directory(data: Path) -> None:
    if "?" in str(data):
        raise OtelUsageError(
            f"Cannot use {data} as data directory: the engine takes no '?' in it. Choose another name"
        )
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OtelUsageError(
            f"Cannot create the data directory {data}: {_reason(error)}. Choose another one with --data"
        ) from None
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise OtelUsageError(
            f"Cannot write into the data directory {data}: no permission. Choose another with --data"
        )
    check_ownership(data)
    holder = holder_of(data)
    if holder:
        raise OtelUsageError(
            f"The data directory {data} is in use by {holder}. Stop that one, or choose another directory with --data"
        )
    mark(data)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
