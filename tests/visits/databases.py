"""Databases for the tests of visits that are rows: SQLite files that nobody waits for the disk for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from otel_usage.settings import Settings
from otel_usage.visits.database import SqlalchemyVisitManager
from tests.visits.cookies import SECRET, Clock


@pytest.fixture
def visit_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty database, which other processes can open too; on a busy machine it takes its time."""
    monkeypatch.setattr(SqlalchemyVisitManager, "store_timeout_seconds", 60.0)

    def do_not_wait_for_the_disk(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    sa.event.listen(sa.pool.Pool, "connect", do_not_wait_for_the_disk)
    try:
        yield f"sqlite:///{tmp_path}/visits.db"
    finally:
        sa.event.remove(sa.pool.Pool, "connect", do_not_wait_for_the_disk)


def database_manager(
    url: str, clock: Clock, secret: str = SECRET, settings: dict[str, object] | None = None, **options: Any
) -> SqlalchemyVisitManager:
    """Return a manager that is set up; the caller closes it."""
    manager = SqlalchemyVisitManager(url, **options)
    manager.set_up(Settings.load({}, **(settings or {})), secret, clock_ms=clock)
    return manager


def rows(
    url: str, sql: str = "SELECT * FROM otel_usage_visit ORDER BY created, visit_key"
) -> list[dict[str, Any]]:
    """Return what a query gives, as any other program would read it."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(sa.text(sql))]
    finally:
        engine.dispose()
