"""The reports about who comes: acquisition, users, bots and abuse."""

from __future__ import annotations

from typing import Any

from otel_usage.clickhouse import ClickHouse
from tests.builders import build_event, insert_events
from tests.reports.test_reports import ask


def keys_of(rows: list[dict[str, Any]], kind: str) -> list[tuple[str, int]]:
    return [(row["key"], row["visits"]) for row in rows if row["kind"] == kind]


def test_a_visit_is_counted_by_what_its_first_request_said(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T12:00:00", visit="a", is_new=True, referrer_domain="search.example", country="CH", path="/in"),
            build_event(at="2026-03-10T12:00:01", visit="a", referrer_domain="other.example", country="DE", path="/out"),
            build_event(at="2026-03-10T12:00:00", visit="b", is_new=True, campaign_source="letter", path="/in"),
        ],
    )  # fmt: skip

    rows = ask(usage, "acquisition")

    assert keys_of(rows, "referrer") == [("", 1), ("search.example", 1)]
    assert keys_of(rows, "country") == [("", 1), ("CH", 1)]
    assert keys_of(rows, "campaign") == [("", 1), ("letter", 1)]
    assert keys_of(rows, "entry_page") == [("/in", 2)]
    assert keys_of(rows, "device") == [("desktop", 2)]
    assert keys_of(rows, "browser") == [("Firefox", 2)]
    assert keys_of(rows, "os") == [("Linux", 2)]


def test_the_visits_of_each_kind_are_those_of_the_report_visits(usage: ClickHouse) -> None:
    for number in range(5):
        day: dict[str, Any] = {"visit": f"v{number}", "referrer_domain": f"{number % 2}.example"}
        insert_events(usage, [build_event(at=f"2026-03-{10 + number}T23:59:59", is_new=True, **day)])
        insert_events(usage, [build_event(at=f"2026-03-{11 + number}T00:00:01", **day)])

    kinds: dict[str, int] = {}
    for row in ask(usage, "acquisition"):
        kinds[row["kind"]] = kinds.get(row["kind"], 0) + row["visits"]

    assert set(kinds.values()) == {5} == {sum(row["visits"] for row in ask(usage, "visits"))}


def test_of_each_kind_the_twenty_of_most_visits_are_named(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit=f"v{n}", country=f"{n:02}") for n in range(30)])

    assert [key for key, _ in keys_of(ask(usage, "acquisition"), "country")] == [f"{n:02}" for n in range(20)]


def test_a_visit_counts_for_the_user_who_signed_in_during_it(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T12:00:00", visit="a", is_new=True),
            build_event(at="2026-03-10T12:00:01", visit="a", user_id="7"),
            build_event(at="2026-03-10T12:00:02", visit="a"),
            build_event(at="2026-03-11T12:00:00", visit="b", user_id="7"),
            build_event(at="2026-03-11T12:00:00", visit="c"),
        ],
    )

    rows = [tuple(row.values()) for row in ask(usage, "users")]

    assert rows == [("7", 2, 4, "2026-03-10T12:00:00.000000000Z", "2026-03-11T12:00:00.000000000Z", 0)]


def test_robots_are_named_with_what_they_read(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(is_bot=True, path="/a", client_address="192.0.2.1", bytes_sent=10),
            build_event(is_bot=True, path="/b", client_address="192.0.2.2", status_code=404),
            build_event("response_sent", is_bot=True, bytes_sent=5),
            build_event(path="/c"),
        ],
    )

    (row,) = ask(usage, "bots")

    assert row["requests"] == row["paths"] == row["addresses"] == 2
    assert (row["client_errors"], row["errors"], row["transfer"]) == (1, 0, 15)


def test_who_was_refused_comes_before_who_asks_much(usage: ClickHouse) -> None:
    probe: dict[str, Any] = {"client_address": "192.0.2.9", "user_agent": "x"}
    insert_events(
        usage,
        [build_event(at=f"2026-03-10T12:00:{n:02}", client_address="192.0.2.1") for n in range(20)]
        + [build_event(at=f"2026-03-10T12:0{n}:00", status_code=404, path=f"/{n}.php", **probe) for n in range(3)]
        + [build_event(status_code=status, path="/login", **probe) for status in (401, 403, 429, 500)],
    )  # fmt: skip

    rows = ask(usage, "abuse")

    counted = ("client_address", "requests", "refused", "not_found", "errors", "paths", "user_agents", "busiest_minute")  # fmt: skip
    assert [tuple(row[name] for name in counted) for row in rows] == [
        ("192.0.2.9", 7, 3, 3, 1, 4, 1, 5),
        ("192.0.2.1", 20, 0, 0, 0, 1, 1, 20),
    ]
