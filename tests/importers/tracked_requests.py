"""The table of Flask-Track-Usage as each of its generations makes it, with a few rows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

CHROME = {"ua_browser": "chrome", "ua_platform": "windows", "ua_version": "120.0.0.0"}

_DDL = """
CREATE TABLE {table} (
    id INTEGER NOT NULL PRIMARY KEY,
    url VARCHAR(128),
    ua_browser VARCHAR(16),
    ua_language VARCHAR(16),
    ua_platform VARCHAR(16),
    ua_version VARCHAR(16),
    blueprint VARCHAR(16),
    view_args VARCHAR(64),
    status INTEGER,
    remote_addr VARCHAR(24),
    {forwarded}
    "authorization" BOOLEAN,
    ip_info VARCHAR({ip_info}),
    path VARCHAR({path}),
    speed FLOAT,
    datetime {moment}
    {later}
)
"""
_FORWARDED = "xforwardedfor VARCHAR(24),"
_LATER = ", track_var VARCHAR(128), username VARCHAR(128)"
GENERATIONS: dict[str, dict[str, Any]] = {
    "1.0": {"forwarded": "", "ip_info": 128, "path": 32, "later": ""},
    "1.1": {"forwarded": _FORWARDED, "ip_info": 128, "path": 32, "later": ""},
    "2.0": {"forwarded": _FORWARDED, "ip_info": 1024, "path": 32, "later": _LATER},
    "master": {"forwarded": _FORWARDED, "ip_info": 1024, "path": 128, "later": _LATER},
}


def make_table(url: str, generation: str = "2.0", table: str = "flask_usage") -> None:
    """Make an empty table."""
    engine = sa.create_engine(url)
    moment = "DATETIME" if engine.dialect.name == "sqlite" else "TIMESTAMP"
    name = engine.dialect.identifier_preparer.quote(table)
    with engine.begin() as connection:
        connection.exec_driver_sql(_DDL.format(table=name, moment=moment, **GENERATIONS[generation]))
    engine.dispose()


def tracked(number: int, **values: object) -> dict[str, Any]:
    """Return a row as 1.0 stores it, with a second of its own."""
    return {
        "id": number,
        "url": "http://shop.example/p/7?utm_source=news",
        "ua_browser": None,
        "ua_language": None,
        "ua_platform": None,
        "ua_version": None,
        "blueprint": None,
        "view_args": "{}",
        "status": 200,
        "remote_addr": "192.0.2.1",
        "authorization": False,
        "ip_info": None,
        "path": "/p/7",
        "speed": 0.25,
        "datetime": datetime(
            2026, 3, 10 + number // 86_400, number // 3600 % 24, number // 60 % 60, number % 60
        ),
        **values,
    }


def add_rows(url: str, rows: list[dict[str, Any]], table: str = "flask_usage") -> None:
    """Add rows, each with the columns that it has."""
    engine = sa.create_engine(url)
    found = sa.Table(table, sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        columns = dict.fromkeys(name for row in rows for name in row)
        connection.execute(found.insert(), [{name: row.get(name) for name in columns} for row in rows])
    engine.dispose()


def write_requests(
    url: str, *rows: dict[str, Any], generation: str = "2.0", table: str = "flask_usage"
) -> None:
    """Make a table with rows."""
    make_table(url, generation, table)
    add_rows(url, list(rows), table)


def full_row(generation: str) -> dict[str, Any]:
    """Return a row with a value in every column of a generation."""
    row = tracked(
        1,
        **CHROME,
        ua_language="de-ch",
        blueprint="catalog",
        view_args=json.dumps({"n": 7, "name": "socks"}),
        authorization=True,
        ip_info=json.dumps({"country": "Switzerland", "countryCode": "CH", "city": "Basel"}),
    )
    if generation != "1.0":
        row["xforwardedfor"] = "203.0.113.7"
    if generation in ("2.0", "master"):
        row.update(track_var=json.dumps({"plan": "gold", "seats": 3}), username="ann")
    return row
