"""Robots counted, left out and alone, in every report that can tell them apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import REPORTS
from otel_usage.reports.asking import takes
from otel_usage.reports.model import Bots
from tests.builders import build_event, insert_events
from tests.reports.test_reports import ALWAYS, ask

NAMES = [name for name in REPORTS if takes(name, "bots")]
SHARED: dict[str, Any] = {
    "object_type": "product",
    "object_id": "1",
    "counter_name": "likes",
    "counter_value": 1,
}


def rows_of(client: ClickHouse, name: str, bots: Bots) -> list[dict[str, Any]]:
    return ask(client, name, replace(ALWAYS, bots=bots))


@pytest.mark.parametrize("name", NAMES)
def test_people_and_robots_are_counted_apart_and_together(usage: ClickHouse, name: str) -> None:
    for who, is_bot in (("ann", False), ("crawler", True)):
        shared: dict[str, Any] = {
            "visit": who,
            "visitor": who,
            "user_id": who,
            "path": f"/{who}",
            "is_bot": is_bot,
        }
        requests = [
            build_event(is_new=True, route=f"/{who}", status_code=500, client_address=f"192.0.2.{1 + is_bot}", browser=who, **shared),
            build_event("activity", **shared),
            build_event("object_viewed", **SHARED, **shared),
            build_event("counter", **SHARED, **shared),
        ]  # fmt: skip
        insert_events(usage, requests)

    both, people, robots = (rows_of(usage, name, bots) for bots in ("with", "without", "only"))

    assert people
    assert robots
    assert people != robots
    assert both not in (people, robots)
    for column in ("requests", "views", "hits", "failures"):
        if column in both[0]:
            assert total(both, column) == total(people, column) + total(robots, column)
    for column in ("bot_requests", "bot_views", "bot_value", "bot_hits", "bot_visits", "is_bot"):
        if column in both[0]:
            assert total(people, column) == 0
            assert total(robots, column) == total(both, column) > 0


def total(rows: list[dict[str, Any]], column: str) -> int:
    return sum(row[column] for row in rows)


def test_the_reports_that_do_not_ask_are_those_about_people_robots_or_the_pipeline() -> None:
    without = [name for name in REPORTS if name not in NAMES]

    assert without == [
        "funnel",
        "conversions",
        "dropped",
        "bots",
        "accounting",
        "rejected",
        "changes",
        "spans",
    ]
