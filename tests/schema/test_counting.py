"""What each view counts, from which events, and on which day."""

from __future__ import annotations

from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.builders import build_event, insert_events, key_of


def test_browsers_count_requests_visits_begun_and_visitors(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(visit="a", visitor="ann", is_new=True),
            build_event(visit="a", visitor="ann"),
            build_event(visit="b", visitor="ann", is_new=True),
            build_event(visit="c", visitor="bob", is_new=True),
            build_event(browser="Safari", os="iOS", device_type="mobile"),
        ],
    )

    rows = usage.query(
        "SELECT browser, os, device_type, is_bot, requests, visits, visitors FROM browsers_daily ORDER BY browser"
    ).rows

    assert rows == [("Firefox", "Linux", "desktop", 0, 4, 3, 2), ("Safari", "iOS", "mobile", 0, 1, 0, 0)]


def test_robots_are_rows_of_their_own(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(), build_event(is_bot=True), build_event(is_bot=True)])

    for view in ("browsers_daily", "ips_daily", "pages_daily"):
        rows = usage.query(f"SELECT is_bot, requests FROM {view} ORDER BY is_bot").rows
        assert rows == [(0, 1), (1, 2)], view


@pytest.mark.parametrize("name", ["object_viewed", "stage_reached", "counter", "login", "anything"])
def test_only_requests_count_as_requests(usage: ClickHouse, name: str) -> None:
    insert_events(usage, [build_event(name, visit="v", visitor="w", object_type="a", funnel="f", stage="s")])

    for view in ("browsers_daily", "ips_daily", "pages_daily", "visits"):
        assert usage.query(f"SELECT * FROM {view}").rows == [], view


def test_a_visit_of_pages_that_only_the_browser_knows_is_a_visit_without_requests(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event("activity", "2026-03-10T08:00:00", visit="v", visitor="w", path="/a", is_new=True),
            build_event("activity", "2026-03-10T08:05:00", visit="v", visitor="w", path="/b"),
        ],
    )

    visits = usage.query("SELECT requests, confirmed, entry_path, exit_path, browser FROM visits").rows
    assert visits == [(0, 1, "/a", "/b", "Firefox")]
    assert usage.query("SELECT requests, visits, visitors FROM browsers_daily").rows == [(0, 1, 1)]
    assert usage.query("SELECT requests, visits FROM ips_daily").rows == [(0, 1)]
    assert usage.query("SELECT * FROM pages_daily").rows == []


def test_a_page_that_server_and_browser_tell_of_is_one_request_of_one_visit(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T08:00:00", visit="v", visitor="w", path="/a", is_new=True),
            build_event("activity", "2026-03-10T08:00:01", visit="v", visitor="w", path="/a"),
        ],
    )

    assert usage.query("SELECT requests, entry_path, exit_path FROM visits").rows == [(1, "/a", "/a")]
    assert usage.query("SELECT requests, visits, visitors FROM browsers_daily").rows == [(1, 1, 1)]
    assert usage.query("SELECT requests, visits FROM ips_daily").rows == [(1, 1)]


def test_addresses_have_their_country_and_the_times_they_were_seen(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T08:00:00.000000001", country="CH", is_new=True, visit="v"),
            build_event(at="2026-03-10T09:00:00", country="", visit="v"),
            build_event(at="2026-03-11T00:00:00", client_address="2001:db8::1"),
        ],
    )

    rows = usage.query(
        "SELECT toString(day), toString(client_address), country, requests, visits, toString(first_seen), "
        "toString(last_seen) FROM ips_daily ORDER BY day"
    ).rows

    assert rows == [
        ("2026-03-10", "::ffff:192.0.2.1", "CH", 2, 1, "2026-03-10 08:00:00.000000001", "2026-03-10 09:00:00.000000000"),
        ("2026-03-11", "2001:db8::1", "", 1, 0, "2026-03-11 00:00:00.000000000", "2026-03-11 00:00:00.000000000"),
    ]  # fmt: skip


def test_pages_count_distinct_visits_and_errors(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(path="/p/1", route="/p/<id>", visit="a"),
            build_event(path="/p/1", route="/p/<id>", visit="a", status_code=500),
            build_event(path="/p/1", route="/p/<id>", visit="b", status_code=503),
            build_event(path="/p/1", route="/p/<id>", status_code=499),
            build_event(path="/p/2", route="/p/<id>", visit="a"),
        ],
    )

    rows = usage.query("SELECT path, route, requests, visits, errors FROM pages_daily ORDER BY path").rows

    assert rows == [("/p/1", "/p/<id>", 4, 2, 2), ("/p/2", "/p/<id>", 1, 1, 0)]


def test_paths_that_are_not_found_share_one_row(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(path=f"/{n}.php", route="", status_code=404) for n in range(30)])

    assert usage.query("SELECT path, route, requests FROM pages_daily").rows == [("", "", 30)]


def test_durations_are_right_to_one_percent(usage: ClickHouse) -> None:
    insert_events(
        usage, [build_event(duration_ns=milliseconds * 1_000_000) for milliseconds in range(1, 101)]
    )

    median, high = usage.query("SELECT duration_p50_ns, duration_p95_ns FROM pages_daily").rows[0]

    assert median == pytest.approx(50e6, rel=0.02)
    assert high == pytest.approx(95e6, rel=0.02)


def test_objects_count_views_visits_and_users(usage: ClickHouse) -> None:
    product: dict[str, Any] = {"object_type": "product", "object_id": "7"}
    insert_events(
        usage,
        [
            build_event("object_viewed", visit="a", user_id="ann", **product),
            build_event("object_viewed", visit="a", user_id="ann", **product),
            build_event("object_viewed", visit="b", **product),
            build_event("object_viewed", **product),
            build_event("object_viewed", visit="r", is_bot=True, **product),
            build_event("bought", visit="a", **product),
        ],
    )

    rows = usage.query(
        "SELECT object_type, object_id, is_bot, views, visits, users FROM objects_daily ORDER BY is_bot"
    ).rows

    assert rows == [("product", "7", 0, 4, 2, 1), ("product", "7", 1, 1, 1, 0)]


def test_counters_add_up_also_below_zero(usage: ClickHouse) -> None:
    likes: dict[str, Any] = {"object_type": "post", "object_id": "1", "counter_name": "likes"}
    insert_events(usage, [build_event("counter", counter_value=value, **likes) for value in (1, 5, -9)])

    rows = usage.query("SELECT object_type, object_id, counter_name, value FROM counters_daily").rows

    assert rows == [("post", "1", "likes", -3)]


def test_a_visit_is_told_by_its_first_and_last_request(usage: ClickHouse) -> None:
    first: dict[str, Any] = {
        "client_address": "192.0.2.5",
        "browser": "Chrome",
        "os": "Android",
        "device_type": "mobile",
        "country": "CH",
    }
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T12:02:00", visit="v", visitor="w", path="/end", user_id="ann"),
            build_event(at="2026-03-10T12:01:00", visit="v", visitor="w", path="/middle", user_id="bob"),
            build_event(
                at="2026-03-10T12:00:00", visit="v", visitor="w", is_new=True, path="/start",
                referrer_domain="example.org", campaign_source="letter", **first,
            ),
        ],
    )  # fmt: skip

    row = usage.query(
        "SELECT * REPLACE (toString(started) AS started, toString(last_seen) AS last_seen, toString(client_address) AS client_address) FROM visits"
    )

    assert [dict(zip(row.columns, found, strict=True)) for found in row.rows] == [
        {
            "visit_key": key_of("v"),
            "service_name": "shop",
            "started": "2026-03-10 12:00:00.000000000",
            "last_seen": "2026-03-10 12:02:00.000000000",
            "requests": 3,
            "user_id": "ann",
            "client_address": "::ffff:192.0.2.5",
            "browser": "Chrome",
            "os": "Android",
            "device_type": "mobile",
            "country": "CH",
            "is_bot": 0,
            "entry_path": "/start",
            "exit_path": "/end",
            "referrer_domain": "example.org",
            "campaign_source": "letter",
            "confirmed": 1,
            "visitor_id": key_of("w"),
        }
    ]


def test_the_last_known_user_of_a_visit_stays_after_signing_out(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T12:00:00", visit="v"),
            build_event(at="2026-03-10T12:01:00", visit="v", user_id="zoe"),
            build_event(at="2026-03-10T12:02:00", visit="v", user_id="ann"),
            build_event(at="2026-03-10T12:03:00", visit="v"),
        ],
    )

    assert usage.query("SELECT user_id FROM visits").rows == [("ann",)]


@pytest.mark.parametrize(
    ("opened", "confirmed"),
    [
        pytest.param([True], 0, id="one request"),
        pytest.param([True, True], 0, id="two first requests in parallel"),
        pytest.param([True, False], 1, id="its cookie came back"),
    ],
)
def test_a_visit_is_confirmed_once_its_cookie_came_back(
    usage: ClickHouse, opened: list[bool], confirmed: int
) -> None:
    insert_events(usage, [build_event(visit="v", is_new=is_new) for is_new in opened])

    assert usage.query("SELECT confirmed FROM visits").rows == [(confirmed,)]


def test_requests_without_a_visit_are_no_visit(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(), build_event(visitor="w")])

    assert usage.query("SELECT * FROM visits").rows == []


def test_a_visit_over_midnight_is_one_visit_that_counts_on_its_first_day(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-31T23:59:59.999999999", visit="v", is_new=True, path="/in"),
            build_event(at="2026-04-01T00:00:00", visit="v", path="/out"),
        ],
    )

    visits = usage.query("SELECT requests, entry_path, exit_path FROM visits").rows
    days = usage.query("SELECT toString(day), requests, visits FROM browsers_daily ORDER BY day").rows

    assert visits == [(2, "/in", "/out")]
    assert days == [("2026-03-31", 1, 1), ("2026-04-01", 1, 0)]


def test_a_visit_to_two_services_is_one_row_each(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="v", service=service) for service in ("shop", "blog")])

    assert usage.query("SELECT service_name, requests FROM visits ORDER BY 1").rows == [
        ("blog", 1),
        ("shop", 1),
    ]
