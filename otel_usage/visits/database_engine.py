"""The engine below the sqlalchemy visit manager: which databases it takes, and that it outlives forks and restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from otel_usage.errors import SettingError
from otel_usage.forks import call_in_children
from otel_usage.settings import env_name
from otel_usage.visits.bounded_calls import MAX_THREADS

_Result = TypeVar("_Result")

_GIVE_UP_AFTER_SECONDS = 10
"""A connection on which nothing has come for this long, where the driver can say so."""
_POSTGRESQL = {"connect_timeout": 2, "tcp_user_timeout": _GIVE_UP_AFTER_SECONDS * 1000}
_MYSQL = {
    "connect_timeout": 2,
    "read_timeout": _GIVE_UP_AFTER_SECONDS,
    "write_timeout": _GIVE_UP_AFTER_SECONDS,
}
_CONNECT_ARGUMENTS: Mapping[str, Mapping[str, object]] = {
    "pysqlite": {"timeout": 1.0},
    "psycopg": _POSTGRESQL,
    "psycopg2": _POSTGRESQL,
    "pg8000": {"timeout": _GIVE_UP_AFTER_SECONDS},
    "pymysql": _MYSQL,
    "mysqldb": _MYSQL,
}
"""By driver: what keeps it from waiting for ever. No request waits so long, but a thread and a connection do."""


class VisitDatabase:
    """A pool of connections, none of them opened before it is needed.

    Args:
        url: as SQLAlchemy writes it, None when there is none.
        options: further arguments of `sqlalchemy.create_engine`; they go before ours.

    Raises:
        SettingError: the URL cannot be used, or its driver is missing.
    """

    def __init__(self, url: str | None, options: Mapping[str, Any]) -> None:
        self.engine = _create_engine(_usable_url(url), options)
        # A single statement needs no transaction around it, which would be two more ways to the database.
        self._single = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        call_in_children(self._forget_connections)

    def _forget_connections(self) -> None:
        # They are the parent's: closing them in the child would close them there.
        self.engine.dispose(close=False)

    def run(self, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Return what single statements give, tried once more on a new connection when the old one is dead."""
        try:
            with self._single.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        with self._single.connect() as connection:
            return work(connection)

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """Return a connection in a transaction that is committed at the end."""
        return self.engine.begin()

    def close(self) -> None:
        """Close the connections that nobody uses just now."""
        self.engine.dispose()


def _create_engine(url: sa.URL, options: Mapping[str, Any]) -> sa.Engine:
    arguments = _CONNECT_ARGUMENTS.get(url.get_driver_name(), {})
    ours: dict[str, Any] = {
        "connect_args": {name: value for name, value in arguments.items() if name not in url.query},
        "pool_size": MAX_THREADS + 1,  # the threads that ask for requests, and the one that writes
        "max_overflow": 0,
        "pool_timeout": _GIVE_UP_AFTER_SECONDS,
        "pool_recycle": 1800,
        "hide_parameters": True,
    }
    try:
        return sa.create_engine(url, **{**ours, **options})
    except ImportError as error:
        raise SettingError(
            f"{env_name('visit_database')} needs the driver of {url.drivername!r}, which is not installed: {error}"
        ) from error


def _usable_url(text: str | None) -> sa.URL:
    """Return a URL of a database that several processes can share. Errors never quote it: it may hold a password."""
    if not text:
        raise SettingError(
            f"The sqlalchemy visit manager has no database. Set {env_name('visit_database')}, for example to "
            "postgresql+psycopg://user:password@host/database"
        )
    try:
        url = sa.make_url(text)
        dialect = url.get_dialect()
    except (ArgumentError, ImportError, ValueError) as error:
        raise SettingError(
            f"{env_name('visit_database')} cannot be used ({type(error).__name__}), expected a URL of SQLAlchemy's "
            "such as postgresql+psycopg://user:password@host/database"
        ) from None
    if dialect.is_async:
        raise SettingError(
            f"{env_name('visit_database')} names {url.drivername!r}, a driver for asyncio; name one that is not"
        )
    if url.get_backend_name() == "sqlite" and (url.database or ":memory:") == ":memory:":
        raise SettingError(
            f"{env_name('visit_database')} is in the memory of one process, which workers do not share; name a file"
        )
    return url
