"""The database of an old system: opened for reading, its tables as they are, page by page along the primary key."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SAWarning, SQLAlchemyError

from otel_usage.errors import OtelUsageError, SettingError
from otel_usage.importers.chunk import CHUNK_SIZE

_EXAMPLES = (
    "sqlite:////srv/app/db.sqlite3, postgresql+psycopg://user:password@host/database or mysql+pymysql://…"
)
_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
    "cx_Oracle": "cx_Oracle",
    "oracledb": "oracledb",
    "pyodbc": "pyodbc",
}
"""What to install for the module of a driver."""
_TABLES_NAMED = 20


class OldDatabase:
    """One old database. Nothing is written to it.

    Args:
        url: as SQLAlchemy writes it.

    Raises:
        SettingError: the URL cannot be used, or its driver is missing.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self.name = self._url.render_as_string(hide_password=True)
        """The URL without its password."""
        try:
            self._engine = sa.create_engine(self._url, hide_parameters=True)
        except ImportError as error:
            module = error.name or str(error)
            raise SettingError(
                f"{self.name} needs the driver {module}. Install it with: pip install '{_PACKAGES.get(module, module)}'"
            ) from error
        if self._url.get_backend_name() == "sqlite":
            self._check_file()
        sa.event.listen(self._engine, "connect", self._read_only)

    def _check_file(self) -> None:
        # SQLite makes a file that is missing.
        path = self._url.database
        if not path or path == ":memory:" or not Path(path).is_file():
            raise SettingError(f"{self.name}: there is no such file, expected the path of a SQLite database")

    def _read_only(self, connection: Any, record: object) -> None:
        backend = self._url.get_backend_name()
        cursor = connection.cursor()
        if backend == "sqlite":
            # One text that is no UTF-8 must not cost the page that it is on.
            connection.text_factory = lambda text: text.decode("utf-8", "replace")
            cursor.execute("PRAGMA query_only = ON")
        elif backend == "postgresql":
            cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            connection.commit()
        elif backend in ("mysql", "mariadb"):
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.close()

    @property
    def cuts_texts(self) -> bool:
        """Whether the database may have cut texts that were too long for their columns.

        SQLite knows no widths, and PostgreSQL takes no such row.
        """
        return self._url.get_backend_name() not in ("sqlite", "postgresql")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def tables_with(self, *columns: str) -> list[str]:
        """Return the tables that have all of these columns."""
        try:
            inspector = sa.inspect(self._engine)
            return [
                name
                for name in inspector.get_table_names()
                if {column["name"] for column in inspector.get_columns(name)}.issuperset(columns)
            ]
        except SQLAlchemyError as error:
            raise self._failed(error) from error

    def table(self, name: str, option: str, columns: Sequence[str]) -> sa.Table:
        """Return a table as it is.

        Args:
            name: may have a schema before it, with a point between.
            option: of the command line, by which another table is named.
            columns: that it must have.

        Raises:
            OtelUsageError: there is no such table, or it has no such column or no primary key.
        """
        table = self._reflected(name, option)
        missing = [repr(column) for column in columns if column not in table.columns]
        if missing:
            raise OtelUsageError(
                f"The table {name!r} has no column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has: "
                f"{', '.join(table.columns.keys())}. Name another table with {option}"
            )
        if not table.primary_key.columns:
            raise OtelUsageError(
                f"The table {name!r} has no primary key, by which its rows could be told apart"
            )
        return table

    def _reflected(self, name: str, option: str) -> sa.Table:
        schema, _, bare = name.rpartition(".")
        # A name may have a point in it.
        places = [(None, name), (schema, bare)] if schema else [(None, name)]
        for place, own_name in places:
            try:
                with warnings.catch_warnings():
                    # Of columns and indexes that it does not know, which are none of ours.
                    warnings.simplefilter("ignore", SAWarning)
                    return sa.Table(
                        own_name, sa.MetaData(), schema=place, autoload_with=self._engine, resolve_fks=False
                    )
            except NoSuchTableError:
                continue
            except SQLAlchemyError as error:
                raise self._failed(error) from error
        raise OtelUsageError(
            f"{self.name} has no table {name!r}; it has: {self._named_tables()}. Name the table with {option}"
        )

    def _named_tables(self) -> str:
        names = sa.inspect(self._engine).get_table_names()
        more = ", …" if len(names) > _TABLES_NAMED else ""
        return (", ".join(names[:_TABLES_NAMED]) or "none at all") + more

    def pages(self, query: sa.Select[Any], table: sa.Table) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a query in pages, along the primary key of one of its tables.

        Each page is a statement of its own that begins behind the last row, so that nothing is held open or
        skipped over, however long the import takes.

        Args:
            query: selects labelled columns; see `raw`.
            table: whose rows it gives, each at most once.
        """
        key = list(table.primary_key.columns)
        labels = [f"key_{number}" for number in range(len(key))]
        query = query.add_columns(
            *(raw(column, label) for column, label in zip(key, labels, strict=True))
        ).order_by(*key)
        page_query = query.limit(CHUNK_SIZE)
        while True:
            try:
                with self._engine.connect() as connection:
                    rows = [dict(row) for row in connection.execute(page_query).mappings()]
            except SQLAlchemyError as error:
                raise self._failed(error) from error
            if rows:
                yield rows
            if len(rows) < CHUNK_SIZE:
                return
            last = [rows[-1][label] for label in labels]
            behind = sa.tuple_(*key) > sa.tuple_(*last) if len(key) > 1 else key[0] > last[0]
            page_query = query.where(behind).limit(CHUNK_SIZE)

    def _failed(self, error: SQLAlchemyError) -> OtelUsageError:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        return OtelUsageError(
            f"{self.name} cannot be read: {cause[0]}. Look at the URL and the rights of its user"
        )


def raw(column: sa.ColumnElement[Any], label: str) -> sa.Label[Any]:
    """Return a column as the driver gives it.

    SQLAlchemy's own types raise for a date that is none, and the whole page would be lost for one bad row.
    """
    return sa.type_coerce(column, sa.types.NullType()).label(label)


def key_of(row: dict[str, Any]) -> str:
    """Return the primary key of a row of `pages` as text."""
    return ",".join(str(value) for label, value in row.items() if label.startswith("key_"))


def _parse(url: str) -> sa.URL:
    """Return the URL. Errors never quote it: it may hold a password."""
    try:
        parsed = sa.make_url(url)
        dialect = parsed.get_dialect()
    except NoSuchModuleError:
        raise SettingError(
            f"--url begins with {parsed.drivername!r}, for which there is no driver, expected one such as {_EXAMPLES}"
        ) from None
    except ArgumentError:
        raise SettingError(f"--url is no URL of SQLAlchemy's, expected one such as {_EXAMPLES}") from None
    if dialect.is_async:
        raise SettingError(f"--url names {parsed.drivername!r}, a driver for asyncio; name one that is not")
    return parsed
