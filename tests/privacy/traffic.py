"""Seeded traffic of several people, and the comparison of all that people read."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from tests.builders import build_event, build_stage, insert_events, nanoseconds

PEOPLE = ("ann", "bob", "cy", "dee")
DAYS = ("2026-03-30", "2026-03-31", "2026-04-01")
VIEWS = (
    "browsers_daily",
    "ips_daily",
    "pages_daily",
    "objects_daily",
    "counters_daily",
    "visits",
    "funnel_stages",
    "funnel_visits",
    "conversions_daily",
    "summaries_hourly",
    "summaries_daily",
    "summaries_monthly",
    "flask_usage_url_hourly",
)


def build_traffic(
    seed: int, people: Sequence[str] = PEOPLE, visits: int = 3, days: Sequence[str] = DAYS
) -> dict[str, list[Event]]:
    """Return the events of each person: some visits each, signed in from their middle on, in two months."""
    random = Random(seed)
    return {
        person: [
            event
            for number in range(visits)
            for event in _visit(random, days, person, f"{person}-{seed}-{number}")
        ]
        for person in people
    }


def _visit(random: Random, days: Sequence[str], person: str, visit: str) -> list[Event]:
    day = random.choice(days)
    start = nanoseconds(f"{day}T00:00:00") + random.randrange(86_390) * 10**9
    common: dict[str, Any] = {
        "service": random.choice(["shop", "blog"]),
        "visit": visit,
        "visitor": person,
        "client_address": f"192.0.2.{PEOPLE.index(person) // 2}",
        "browser": random.choice(["Firefox", "Safari"]),
    }
    events: list[Event] = []
    length = random.randrange(3, 9)
    for step in range(length):
        # Steps are minutes apart, so that some visits go on over midnight, and over the end of the month.
        moment = start + step * 97 * 10**9
        signed_in: dict[str, Any] = {"user_id": person} if step >= length // 2 else {}
        values = {**common, **signed_in}
        path = random.choice(["/", "/a", "/b", "/missing"])
        events.append(
            _at(
                build_event(
                    path=path,
                    route=path,
                    is_new=step == 0,
                    status_code=404 if path == "/missing" else random.choice([200, 500]),
                    duration_ns=random.randrange(1, 10**9),
                    **values,
                ),
                moment,
            )
        )
        events.append(_at(_further_event(random, step, values), moment + 1))
    return events


def _further_event(random: Random, step: int, values: dict[str, Any]) -> Event:
    thing: dict[str, Any] = {"object_type": "thing", "object_id": str(random.randrange(3))}
    kind = random.choice(["object", "counter", "stage", "own"])
    if kind == "object":
        return build_event(names.OBJECT_VIEWED, **thing, **values)
    if kind == "counter":
        count = random.randrange(-3, 4)
        return build_event(names.COUNTER, counter_name="likes", counter_value=count, **thing, **values)
    if kind == "stage":
        return build_stage(min(step, 3) + 1, "2026-03-30T00:00:00", **values)
    return build_event("newsletter_ordered", **values)


def _at(event: Event, moment_ns: int) -> Event:
    return event._replace(timestamp_ns=moment_ns)


def insert_batches(client: ClickHouse, events: Sequence[Event], size: int = 15) -> dict[str, list[Event]]:
    """Insert the events in batches and return these by their tokens."""
    batches = [list(events[start : start + size]) for start in range(0, len(events), size)]
    return {insert_events(client, batch): batch for batch in batches}


def reject(client: ClickHouse, body: dict[str, Any], event_id: str = "e") -> None:
    """Store an event as rejected, just now: old ones are deleted by their age."""
    client.insert(
        "rejected_events",
        ["timestamp", "reason", "event_id", "body"],
        ["DateTime64(9, 'UTC')", "String", "String", "String"],
        [[time.time_ns()], ["too odd"], [event_id], [json.dumps(body)]],
        token=event_id + json.dumps(body),
    )


def all_views(client: ClickHouse) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every view, and of the tables, in an order that depends on the rows alone."""
    found = {}
    for name in (*VIEWS, "events", "rejected_events"):
        rows = client.query(f"SELECT * FROM {name}", formats={"DateTime64": "int"}).rows
        found[name] = sorted(rows, key=repr)
    return found
