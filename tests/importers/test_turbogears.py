"""`otel-usage import turbogears`."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from otel_usage.clickhouse import ClickHouse
from tests.importers.importing import assert_each_event_once, rows, run_import
from tests.importers.logs import FIREFOX
from tests.importers.old_data import KEY, identities, visits, write
from tests.importers.old_data import old_url as old_url

BEGIN, END = datetime(2010, 5, 1, 12, 0), datetime(2010, 5, 1, 13, 0)


def write_visits(url: str) -> None:
    """Write a visit of 40 minutes by a user, and one of a single request."""
    write(
        url,
        visits(),
        [
            {"visit_key": KEY, "created": BEGIN, "expiry": END},
            {"visit_key": "b" * 40, "created": BEGIN, "expiry": datetime(2010, 5, 1, 12, 20)},
        ],
    )
    write(url, identities(), [{"visit_key": KEY, "user_id": 5}])


def test_a_row_is_a_visit_with_its_times_and_its_user(usage: ClickHouse, old_url: str) -> None:
    write_visits(old_url)

    ran = run_import(usage, "turbogears", "--url", old_url)

    assert ran.code == 0, ran.errors
    assert ran.output.splitlines() == [
        "visit: 2 visits: 2 stored, 0 already there, 0 refused",
        "  1 further events stored that follow from them",
    ]
    found = usage.query(
        "SELECT toString(started), toString(last_seen), requests, confirmed, user_id FROM visits ORDER BY requests"
    ).rows
    assert [(start[11:16], end[11:16], *rest) for start, end, *rest in found] == [
        ("12:00", "12:00", 1, 0, ""),
        ("12:00", "12:40", 2, 1, "5"),
    ]
    assert usage.query("SELECT sum(visits), sum(requests) FROM browsers_daily").rows == [(2, 3)]
    assert_each_event_once(usage)


def test_visits_that_are_imported_twice_count_once(usage: ClickHouse, old_url: str) -> None:
    write_visits(old_url)
    run_import(usage, "turbogears", "--url", old_url)

    ran = run_import(usage, "turbogears", "--url", old_url, "--timezone", "Asia/Tokyo")

    assert ran.output == "visit: 2 visits: 0 stored, 2 already there, 0 refused\n"
    assert_each_event_once(usage)


def test_the_old_key_opens_nothing_any_more(usage: ClickHouse, old_url: str) -> None:
    write_visits(old_url)

    run_import(usage, "turbogears", "--url", old_url)

    assert KEY not in repr(usage.query("SELECT * FROM events").rows)
    assert len(rows(usage, "DISTINCT visit_key")) == 2


def test_columns_of_the_app_become_what_they_say(usage: ClickHouse, old_url: str) -> None:
    table = visits(
        sa.Column("ip_address", sa.String(20)),
        sa.Column("user_agent", sa.String(200)),
        sa.Column("plan", sa.String(9)),
    )
    row = {
        "visit_key": KEY,
        "created": BEGIN,
        "expiry": BEGIN,
        "ip_address": "192.0.2.7",
        "user_agent": FIREFOX,
        "plan": "gold",
    }
    write(old_url, table, [row])

    run_import(usage, "turbogears", "--url", old_url, "--identities-table", "")

    assert rows(
        usage, "replaceOne(toString(client_address), '::ffff:', ''), browser, properties['plan']"
    ) == [("192.0.2.7", "Firefox", "gold")]


def test_a_visit_without_a_time_is_set_aside_without_its_key(usage: ClickHouse, old_url: str) -> None:
    write(old_url, visits(), [{"visit_key": KEY, "created": datetime(1960, 1, 1), "expiry": None}])

    ran = run_import(usage, "turbogears", "--url", old_url, "--identities-table", "")

    assert ran.output.splitlines()[1] == "  1 refused: a time outside the years 1970 to 2261"
    assert KEY not in repr(usage.query("SELECT * FROM rejected_events").rows)


def test_a_missing_table_of_users_is_named(usage: ClickHouse, old_url: str) -> None:
    write(old_url, visits(), [])

    ran = run_import(usage, "turbogears", "--url", old_url)

    assert ran.code == 1
    assert (
        "has no table 'visit_identity'; it has: visit. Name the table with --identities-table" in ran.errors
    )
