"""The database storages of Flask-Track-Usage by their old names and arguments: today all of them are ClickHouse.

An old app goes on unchanged; what it had stored before is taken over by `otel-usage import flask-track-usage`.
"""

from __future__ import annotations

import logging
from typing import Any

from otel_usage.flask.storages.clickhouse import ClickHouseReader
from otel_usage.reports.connection import settings_in_force

logger = logging.getLogger(__name__)

_told: set[str] = set()


class _FormerDatabaseStorage(ClickHouseReader):
    """Says once for each kind what became of it."""

    def _become_clickhouse(self, *more: str) -> None:
        name = type(self).__name__
        if name in _told:
            return
        _told.add(name)
        lines = [
            f"{name} writes to its database no longer: each request goes to ClickHouse, where OTEL_USAGE_DSN "
            "says, and get_usage() and get_sum() read from there. Old rows of an SQL database are taken over by "
            "`otel-usage import flask-track-usage`",
            *more,
        ]
        if not settings_in_force().dsn:
            lines.append(
                "OTEL_USAGE_DSN is not set yet, and without it get_usage() and get_sum() cannot answer"
            )
        logger.warning("%s", ". ".join(lines))


class SQLStorage(_FormerDatabaseStorage):
    """Was a table by SQLAlchemy."""

    def set_up(
        self,
        engine: Any = None,
        metadata: Any = None,
        table_name: str = "flask_usage",
        db: Any = None,
        hooks: Any = None,
    ) -> None:
        """Take the old arguments; none of them is used.

        Raises:
            ValueError: there is neither an engine nor Flask-SQLAlchemy's object, as before.
        """
        if db is None and engine is None:
            raise ValueError("Both db and engine args cannot be None")
        self._become_clickhouse()


class MongoPiggybackStorage(_FormerDatabaseStorage):
    """Was a collection of the app's own connection."""

    def set_up(self, collection: Any, hooks: Any = None) -> None:
        """Take the old arguments; none of them is used."""
        self._become_clickhouse()


class MongoStorage(_FormerDatabaseStorage):
    """Was a collection of a connection of its own."""

    def set_up(
        self,
        database: str,
        collection: str,
        host: str = "127.0.0.1",
        port: int = 27017,
        username: str | None = None,
        password: str | None = None,
        hooks: Any = None,
    ) -> None:
        """Take the old arguments; none of them is used or kept."""
        self._become_clickhouse()


class MongoEngineStorage(_FormerDatabaseStorage):
    """Was a collection by MongoEngine."""

    def set_up(
        self, doc: Any = None, website: str | None = None, apache_log: bool = False, hooks: Any = None
    ) -> None:
        """Take the old arguments.

        Args:
            doc: not used.
            website: not used; several sites in one database are told apart by `OTEL_SERVICE_NAME`.
            apache_log: not used; `otel-usage report access_log --format log` prints such lines at any time.
            hooks: see `ClickHouseStorage`.
        """
        more = []
        if website is not None:
            more.append(
                "Sites are told apart by their service: set OTEL_SERVICE_NAME to the name of the website"
            )
        if apache_log:
            more.append("Lines of Apache's log are printed by `otel-usage report access_log --format log`")
        self._become_clickhouse(*more)


class RedisStorage(_FormerDatabaseStorage):
    """Was hashes in Redis."""

    def set_up(
        self,
        host: str = "127.0.0.1",
        port: int = 6379,
        password: str | None = None,
        url: str | None = None,
        hooks: Any = None,
    ) -> None:
        """Take the old arguments; none of them is used or kept."""
        self._become_clickhouse()


class CouchDBStorage(_FormerDatabaseStorage):
    """Was documents in CouchDB."""

    def set_up(
        self,
        database: str,
        host: str = "127.0.0.1",
        port: int = 5984,
        protocol: str = "http",
        username: str | None = None,
        password: str | None = None,
        hooks: Any = None,
    ) -> None:
        """Take the old arguments; none of them is used or kept."""
        self._become_clickhouse()
