"""Tables of the old systems, as these make them, with a few rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

POSTGRESQL = "TEST_POSTGRESQL_URL"
"""Names the variable with the URL of an empty PostgreSQL database."""

KEY = "5f2cab10e2aa4e9e8f2b2c9a1d3e4f5a6b7c8d9e"
NOON = datetime(2026, 3, 10, 12, 0, 0, tzinfo=timezone.utc)


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of an old system."""
    if request.param == "sqlite":
        (tmp_path / "old.db").touch()
        yield f"sqlite:///{tmp_path}/old.db"
        return
    url = os.environ.get(POSTGRESQL)
    if not url:
        pytest.skip(f"{POSTGRESQL} names no PostgreSQL database")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    yield url


def write(url: str, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Make a table, unless it is there, and add rows to it."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        table.create(connection, checkfirst=True)
        if rows:
            connection.execute(table.insert(), rows)
    engine.dispose()


def execute(url: str, sql: str, **values: object) -> None:
    """Run a statement."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(sql), values)
    engine.dispose()


def content_types() -> sa.Table:
    return sa.Table(
        "django_content_type",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("app_label", sa.String(100), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
    )


def totals(name: str = "shop_producttotals") -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("content_type_id", sa.Integer, nullable=False),
        sa.Column("object_id", sa.Integer, nullable=False),
        sa.Column("views", sa.Integer),
        sa.Column("clicks", sa.BigInteger),
        sa.Column("note", sa.String(20)),
    )


def daily(name: str = "shop_productdaily") -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("content_type_id", sa.Integer, nullable=False),
        sa.Column("object_id", sa.Integer, nullable=False),
        sa.Column("collected_during", sa.Date, nullable=False),
        sa.Column("views", sa.Integer),
    )


def write_counters(url: str) -> None:
    """Write content types, totals of two products and two days of one of them."""
    write(url, content_types(), [{"id": 7, "app_label": "shop", "model": "product"}])
    write(
        url,
        totals(),
        [
            {"id": 1, "content_type_id": 7, "object_id": 41, "views": 201, "clicks": 2**40, "note": "x"},
            {"id": 2, "content_type_id": 7, "object_id": 42, "views": 3, "clicks": None, "note": None},
            {"id": 3, "content_type_id": 99, "object_id": 42, "views": 5, "clicks": 0, "note": None},
        ],
    )
    write(
        url,
        daily(),
        [
            {
                "id": 1,
                "content_type_id": 7,
                "object_id": 41,
                "collected_during": date(2012, 5, 31),
                "views": 10,
            },
            {
                "id": 2,
                "content_type_id": 7,
                "object_id": 41,
                "collected_during": date(2012, 6, 1),
                "views": 20,
            },
        ],
    )


def activities() -> sa.Table:
    return sa.Table(
        "djaffar_activity",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("ip_address", sa.String(45), nullable=False),
        sa.Column("date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("path", sa.String(1000), nullable=False),
        sa.Column("referer", sa.String(160), nullable=False),
        sa.Column("session_id", sa.String(40)),
        sa.Column("user_id", sa.Integer),
    )


def session_infos() -> sa.Table:
    return sa.Table(
        "djaffar_sessioninfo",
        sa.MetaData(),
        sa.Column("session_id", sa.String(40), primary_key=True),
        sa.Column("user_agent", sa.String(1000), nullable=False),
    )


def activity(number: int, **values: object) -> dict[str, Any]:
    """Return a row of `djaffar_activity`."""
    return {
        "id": number,
        "ip_address": "192.0.2.1",
        "date": NOON,
        "path": "/shop/?utm_source=news#top",
        "referer": "https://www.example.org/",
        "session_id": KEY,
        "user_id": 5,
        **values,
    }


def write_activities(url: str, rows: list[dict[str, Any]], agent: str) -> None:
    """Write activities, and the agent of their session."""
    write(url, activities(), rows)
    write(url, session_infos(), [{"session_id": KEY, "user_agent": agent}])


def visits(*columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(
        "visit",
        sa.MetaData(),
        sa.Column("visit_key", sa.String(40), primary_key=True),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("expiry", sa.DateTime),
        *columns,
    )


def identities() -> sa.Table:
    return sa.Table(
        "visit_identity",
        sa.MetaData(),
        sa.Column("visit_key", sa.String(40), primary_key=True),
        sa.Column("user_id", sa.Integer),
    )
