"""The summaries: hits and bytes by hour, day and month, exact for any number of keys, each batch once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from typing import Any

import flask
import pytest

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.privacy import forget, parse_selector
from otel_usage.schema import applied, load_migrations, migrate
from otel_usage.schema.rebuild import rebuild_day
from otel_usage.schema.retention import SUMMARIES, retention_days_in_force, set_retention
from tests.builders import build_event, insert_events
from tests.serving import ServeProcess
from tests.tracking import Tracking, clean_process

PERIODS = ("hourly", "daily", "monthly")
OLD_KEYS = ("url", "remote", "useragent", "language", "server")
URL: dict[str, Any] = {"scheme": "https", "host": "shop.example.com"}


def sums(client: ClickHouse, kind: str, period: str = "daily") -> dict[str, tuple[int, int]]:
    """Return hits and bytes by key."""
    rows = client.query(
        f"SELECT key, sum(hits), sum(transfer) FROM summaries_{period} WHERE kind = {{kind:String}} GROUP BY key",
        {"kind": kind},
    ).rows
    return {key: (hits, transfer) for key, hits, transfer in rows}


# What is summed by what.


def test_each_request_counts_once_under_each_of_its_keys(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(**URL, path="/a", query="b=c", user_agent="Agent/1", language="de-CH", country="CH", bytes_sent=6),
            build_event(**URL, path="/a", client_address="2001:db8::1", status_code=500, bytes_sent=1),
        ],
    )  # fmt: skip

    assert {kind: sums(usage, kind) for kind in ("url", "remote", "useragent", "browser", "language", "geo", "status", "server")} == {
        "url": {"https://shop.example.com/a?b=c": (1, 6), "https://shop.example.com/a": (1, 1)},
        "remote": {"192.0.2.1": (1, 6), "2001:db8::1": (1, 1)},
        "useragent": {"Agent/1": (1, 6), "none": (1, 1)},
        "browser": {"Firefox": (2, 7)},
        "language": {"de-CH": (1, 6), "none": (1, 1)},
        "geo": {"CH": (1, 6), "none": (1, 1)},
        "status": {"200": (1, 6), "500": (1, 1)},
        "server": {"shop": (2, 7)},
    }  # fmt: skip


def test_all_urls_of_an_hour_keep_rows_of_their_own(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(path="/"), *(build_event(path="/two") for _ in range(4))])

    assert sums(usage, "url", "hourly") == {"/": (1, 0), "/two": (4, 0)}


def test_long_texts_are_kept_whole(usage: ClickHouse) -> None:
    agent, path = "Phone " * 40, "/" + "x" * 1000
    insert_events(usage, [build_event(user_agent=agent, path=path)])

    assert sums(usage, "useragent") == {agent: (1, 0)}
    assert sums(usage, "url") == {path: (1, 0)}


def test_an_address_that_only_looks_mapped_is_left_as_it_is(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(client_address="::ffff:0:c000:201"), build_event(client_address="")])

    assert sums(usage, "remote") == {"::ffff:0:c000:201": (1, 0), "none": (1, 0)}


def test_hours_days_and_months_are_those_of_utc(usage: ClickHouse) -> None:
    moments = (
        "2026-03-30T23:59:59.999999999",
        "2026-03-31T00:00:00",
        "2026-03-31T00:59:59",
        "2026-04-01T00:00:00",
    )
    insert_events(usage, [build_event(at=moment) for moment in moments])

    hours = usage.query(
        "SELECT toString(hour), hits FROM summaries_hourly WHERE kind = 'server' ORDER BY hour"
    ).rows
    days = usage.query("SELECT day, hits FROM summaries_daily WHERE kind = 'server' ORDER BY day").rows
    months = usage.query(
        "SELECT month, hits FROM summaries_monthly WHERE kind = 'server' ORDER BY month"
    ).rows

    assert hours == [("2026-03-30 23:00:00", 1), ("2026-03-31 00:00:00", 2), ("2026-04-01 00:00:00", 1)]
    assert days == [(date(2026, 3, 30), 1), (date(2026, 3, 31), 2), (date(2026, 4, 1), 1)]
    assert months == [(date(2026, 3, 1), 3), (date(2026, 4, 1), 1)]


def test_the_server_has_visits_visitors_and_errors(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(visit="a", visitor="ann", is_new=True),
            build_event(visit="a", visitor="ann", status_code=500),
            build_event(visit="b", visitor="bob", is_new=True, status_code=404),
            build_event("activity", visit="c", visitor="cy", is_new=True),
            build_event("response_sent", visit="d", visitor="dee", bytes_sent=1),
        ],
    )

    rows = usage.query(
        "SELECT kind, hits, visits, errors, visitors FROM summaries_daily WHERE kind IN ('server', 'geo') ORDER BY kind"
    ).rows

    assert rows == [("geo", 3, 2, 1, None), ("server", 3, 3, 1, 3)]


def test_robots_are_rows_of_their_own_and_count_under_the_old_names(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(), build_event(is_bot=True)])

    rows = usage.query("SELECT is_bot, hits FROM summaries_daily WHERE kind = 'url' ORDER BY is_bot").rows
    assert rows == [(0, 1), (1, 1)]
    assert usage.query("SELECT hits FROM flask_usage_url_daily").rows == [(2,)]


@pytest.mark.parametrize("key", OLD_KEYS)
def test_the_old_tables_names_are_views_with_their_columns(usage: ClickHouse, key: str) -> None:
    insert_events(usage, [build_event(**URL, user_agent="Agent/1", bytes_sent=6) for _ in range(3)])
    found = {"url": "https://shop.example.com/", "remote": "192.0.2.1", "useragent": "Agent/1", "language": "none", "server": "shop"}  # fmt: skip
    begins = {"hourly": datetime(2026, 3, 10, 12, tzinfo=timezone.utc), "daily": date(2026, 3, 10), "monthly": date(2026, 3, 1)}  # fmt: skip

    for period in PERIODS:
        result = usage.query(f"SELECT * FROM flask_usage_{key}_{period}")

        assert result.columns == ("date", key, "hits", "transfer")
        assert [(_in_utc(row[0]), *row[1:]) for row in result.rows] == [(begins[period], found[key], 3, 18)]


def _in_utc(moment: Any) -> Any:
    return moment.astimezone(timezone.utc) if isinstance(moment, datetime) else moment


# Bytes.


def test_a_stream_without_a_size_makes_no_sum_null(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(bytes_sent=6), build_event()])

    assert sums(usage, "url", "monthly") == {"/": (2, 6)}


def test_the_bytes_of_a_stream_count_in_the_hour_in_which_it_ends(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T11:59:00"),
            build_event("response_sent", at="2026-03-10T12:01:00", bytes_sent=10),
        ],
    )

    rows = usage.query("SELECT toString(date), hits, transfer FROM flask_usage_url_hourly ORDER BY date").rows
    assert rows == [("2026-03-10 11:00:00", 1, 0), ("2026-03-10 12:00:00", 0, 10)]
    assert sums(usage, "url") == {"/": (1, 10)}


def test_a_month_of_more_than_two_gibibytes_is_exact(usage: ClickHouse) -> None:
    insert_events(
        usage, [build_event(bytes_sent=2**31 - 1) for _ in range(3)] + [build_event(bytes_sent=2**40 + 1)]
    )

    assert sums(usage, "server", "monthly") == {"shop": (4, 3 * (2**31 - 1) + 2**40 + 1)}


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    """Tracking in this process, all of it undone afterwards."""
    with clean_process(monkeypatch):
        yield Tracking(monkeypatch)


def test_a_streaming_app_has_its_bytes_under_every_key(usage: ClickHouse, tracking: Tracking) -> None:
    tracking.start()
    app = flask.Flask("shop")

    @app.route("/export")
    def export() -> flask.Response:
        def body() -> Iterator[str]:
            yield from ("ab", "cd", "é")

        return flask.Response(body(), status=202)

    app.add_url_rule("/plain", "plain", lambda: "plain")
    client = app.test_client()
    headers = {"User-Agent": "Agent/1", "Accept-Language": "de-CH,de;q=0.9"}
    for path in ("/export?list=a", "/export?list=a", "/plain"):
        assert client.get(path, headers=headers, buffered=True).data

    insert_events(usage, tracking.events())

    assert sums(usage, "url", "monthly") == {
        "http://localhost/export?list=a": (2, 12),
        "http://localhost/plain": (1, 5),
    }
    assert sums(usage, "status", "monthly") == {"202": (2, 12), "200": (1, 5)}
    for kind, key in (
        ("language", "de-CH"),
        ("useragent", "Agent/1"),
        ("remote", "127.0.0.1"),
        ("server", "shop"),
    ):
        assert sums(usage, kind, "monthly") == {key: (3, 17)}


# Exactly once, whoever writes.


def test_parallel_writers_lose_no_hit(usage: ClickHouse, serve: ServeProcess) -> None:
    def write(_: int) -> None:
        client = connect(serve.dsn_of(usage.dsn.database))
        for _ in range(5):
            insert_events(client, [build_event(path=f"/{n}", bytes_sent=1) for n in range(20)])
        client.close()

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))

    assert sums(usage, "url", "hourly") == {f"/{n}": (20, 20) for n in range(20)}
    assert sums(usage, "server", "monthly") == {"shop": (400, 400)}


def test_a_batch_that_is_sent_again_counts_once(usage: ClickHouse) -> None:
    events = [build_event(bytes_sent=6), build_event("response_sent", bytes_sent=4)]
    token = insert_events(usage, events)

    insert_events(usage, events, token)

    assert sums(usage, "url") == {"/": (1, 10)}


# Databases that had events before there were summaries.


def old_database(client: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the schema without the summaries, and nothing that came after them."""
    with monkeypatch.context() as older:
        without = tuple(
            migration
            for migration in load_migrations()
            if not re.search("_(summaries|flask_usage)_", migration.name)
        )
        older.setattr(applied, "load_migrations", lambda: without)
        migrate(client)


def test_an_upgrade_sums_the_events_that_were_there(
    database: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_database(database, monkeypatch)
    insert_events(
        database, [build_event(at=f"2026-03-{day:02}T12:00:00", bytes_sent=6) for day in (9, 10, 10)]
    )

    report = migrate(database)

    assert report.filled == (("summaries_state", 2),)
    assert "filled summaries_state from the events of 2 days" in report.lines()
    assert sums(database, "url", "monthly") == {"/": (3, 18)}
    assert migrate(database).filled == ()


def test_an_upgrade_that_was_killed_is_taken_up_without_counting_twice(
    database: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_database(database, monkeypatch)
    insert_events(database, [build_event(at="2026-03-09T12:00:00"), build_event()])
    for migration in load_migrations():
        # The view was made and counted, and the process died before it could write that down.
        if migration.name in ("create_summaries_state", "create_summaries_mv"):
            database.command(migration.sql)
    insert_events(database, [build_event()])

    migrate(database)

    assert sums(database, "url", "daily") == {"/": (3, 0)}
    assert sums(database, "server", "monthly") == {"shop": (3, 0)}


def test_days_whose_events_are_being_deleted_are_left_out(
    database: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(timezone.utc)
    old_database(database, monkeypatch)
    insert_events(
        database, [build_event(at=f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%S}") for days in (0, 31)]
    )
    database.command("ALTER TABLE events MODIFY SETTING materialize_ttl_recalculate_only = 1")
    set_retention(database, 30)

    migrate(database)

    assert sums(database, "server", "monthly") == {"shop": (1, 0)}


def test_a_day_is_made_anew_from_its_events(usage: ClickHouse) -> None:
    event = build_event(bytes_sent=6)
    insert_events(usage, [event])
    insert_events(usage, [event])  # a foreign client that sent it again in another batch

    rebuild_day(usage, date(2026, 3, 10))

    assert sums(usage, "url") == {"/": (1, 6)}


# Age, and people who want to be forgotten.


def test_summaries_are_kept_until_a_retention_is_set(database: ClickHouse) -> None:
    texts = [
        migrate(database, summary_retention_days=days).summary_retention for days in (None, 60, 60, None)
    ]

    assert texts == [
        "summaries are kept for ever",
        "summaries are deleted after 60 days, from now on",
        "summaries are deleted after 60 days",
        "summaries are deleted after 60 days, as set before; OTEL_USAGE_SUMMARY_RETENTION_DAYS is unset now",
    ]
    assert retention_days_in_force(database) is None


def test_expired_summaries_go_and_their_events_stay(database: ClickHouse) -> None:
    migrate(database, summary_retention_days=30)
    insert_events(database, [build_event(at="2020-01-01T00:00:00"), build_event(at="2100-01-01T00:00:00")])

    database.command("OPTIMIZE TABLE summaries_state FINAL")

    assert sums(database, "server") == {"shop": (1, 0)}
    assert database.query("SELECT count() FROM events").rows == [(2,)]


def test_a_person_of_expired_summaries_can_be_forgotten(database: ClickHouse) -> None:
    migrate(database)
    set_retention(database, 30, SUMMARIES)
    insert_events(
        database,
        [build_event(at="2020-01-01T00:00:00", user_id="ann"), build_event(at="2020-01-01T00:00:00")],
    )
    database.command("OPTIMIZE TABLE summaries_state FINAL")

    report = forget(database, parse_selector(user="ann"))

    assert report.is_clean
    assert report.notes == []
    assert database.query("SELECT count() FROM events").rows == [(1,)]


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_address_whose_events_are_gone_is_forgotten_too(usage: ClickHouse, address: str) -> None:
    insert_events(usage, [build_event(client_address=address), build_event(client_address="192.0.2.8")])
    usage.command("ALTER TABLE events DELETE WHERE 1", settings={"mutations_sync": 2})

    report = forget(usage, parse_selector(address=address))

    assert report.is_clean
    assert sums(usage, "remote") == {"192.0.2.8": (1, 0)}
