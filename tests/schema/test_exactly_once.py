"""A batch counts once however often it is sent, and the same events give the same states however they are cut."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from tests.builders import build_event, build_stage, insert_events
from tests.databases import empty_tables

VIEWS = (
    "events",
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
)


def contents(client: ClickHouse) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every public table and view, in one order."""
    return {view: sorted(client.query(f"SELECT * FROM {view}").rows, key=repr) for view in VIEWS}


def merged_states(client: ClickHouse) -> dict[str, list[tuple[object, ...]]]:
    """Return the states themselves, byte for byte, after everything was merged.

    Not those with sets of visits or visitors: a small set keeps the order in which it was filled.
    """
    found = {}
    for table in ("ips_daily_state", "counters_daily_state", "visits_state", "funnel_stages_state"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")
        found[table] = client.query(f"SELECT hex(formatRow('RowBinary', *)) FROM {table} ORDER BY 1").rows
    return found


def some_events() -> list[Event]:
    """Return a day and a night of every kind of event, with equal times and several days."""
    events: list[Event] = []
    for number in range(40):
        visit, day = f"v{number}", 10 + number % 3
        clock = f"2026-03-{day}T23:{50 + number % 10}:00"
        user = f"user {number % 7}" if number % 2 else ""
        events += [
            build_event(
                at=clock, visit=visit, visitor=f"w{number % 9}", is_new=True, path="/a", user_id=user
            ),
            build_event(
                at=clock, visit=visit, visitor=f"w{number % 9}", path=f"/{number % 5}", duration_ns=number
            ),
            build_event(
                at=f"2026-03-{day + 1}T00:01:00", visit=visit, is_bot=number % 8 == 0, status_code=404
            ),
            build_event(
                "object_viewed", clock, visit=visit, object_type="product", object_id=str(number % 4)
            ),
            build_event(
                "counter", clock, object_type="post", object_id="1", counter_name="likes", counter_value=2
            ),
            build_stage(1, clock, visit=visit, user_id=user),
            build_stage(2, f"2026-03-{day + 1}T00:02:00", visit=visit),
        ]
    return events


def test_a_batch_that_is_sent_again_changes_no_table_and_no_view(usage: ClickHouse) -> None:
    events = some_events()
    token = insert_events(usage, events)
    before = contents(usage)

    insert_events(usage, events, token)

    assert contents(usage) == before
    assert all(before.values())


def test_another_batch_with_the_same_numbers_counts(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="v", is_new=True)])

    # Other ids, and otherwise the very same: the views see two equal blocks.
    insert_events(usage, [build_event(visit="v", is_new=True)])

    for view in ("browsers_daily", "ips_daily", "pages_daily", "visits"):
        assert usage.query(f"SELECT sum(requests) FROM {view}").rows == [(2,)], view
    assert usage.query("SELECT sum(visits) FROM browsers_daily").rows == [(2,)]


def _one_by_one_backwards(events: Sequence[Event]) -> list[Sequence[Event]]:
    return [[event] for event in reversed(events)]


def _shuffled_in_sevens(events: Sequence[Event]) -> list[Sequence[Event]]:
    shuffled = list(events)
    random.Random(7).shuffle(shuffled)
    return [shuffled[start : start + 7] for start in range(0, len(shuffled), 7)]


@pytest.mark.parametrize("cut", [_one_by_one_backwards, _shuffled_in_sevens])
def test_the_same_events_give_the_same_numbers_however_they_are_batched(
    usage: ClickHouse, cut: object
) -> None:
    assert callable(cut)
    events = some_events()[:70]
    insert_events(usage, events)
    expected = contents(usage), merged_states(usage)
    empty_tables(usage)

    for batch in cut(events):
        insert_events(usage, batch)

    assert (contents(usage), merged_states(usage)) == expected
