"""A day's states can be made anew from its events, while nothing else is lost or doubled."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta, timezone

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import ClickHouseUnavailable, OtelUsageError
from otel_usage.schema.hold import HoldLapsed, hold_inserts
from otel_usage.schema.rebuild import rebuild_day
from otel_usage.schema.retention import set_retention
from tests.builders import build_event, build_stage, insert_events
from tests.serving import wait_for

DAY = date(2026, 3, 10)
ALL = [
    build_event(visit="v", visitor="w", is_new=True),
    build_event("object_viewed", visit="v", object_type="thing", object_id="1"),
    build_event("counter", object_type="thing", object_id="1", counter_name="likes", counter_value=2),
    build_stage(1, "2026-03-10T12:00:00", visit="v"),
]
COUNTS = (
    "SELECT (SELECT sum(requests) FROM browsers_daily), (SELECT sum(requests) FROM ips_daily), "
    "(SELECT sum(requests) FROM pages_daily), (SELECT sum(views) FROM objects_daily), "
    "(SELECT sum(value) FROM counters_daily), (SELECT sum(requests) FROM visits), "
    "(SELECT sum(hits) FROM flask_usage_server_hourly)"
)


def counts(client: ClickHouse) -> tuple[int, ...]:
    return client.query(COUNTS).rows[0]


def test_events_that_were_stored_twice_count_once_after_a_rebuild(usage: ClickHouse) -> None:
    insert_events(usage, ALL)
    insert_events(usage, ALL)
    insert_events(usage, [build_event(at="2026-03-11T12:00:00", visit="next")])

    rebuilt = rebuild_day(usage, DAY)

    assert counts(usage) == (2, 2, 2, 1, 2, 2, 2)
    assert len(rebuilt) == 8


def test_a_rebuild_of_right_states_changes_nothing_and_keeps_batches_known(usage: ClickHouse) -> None:
    token = insert_events(usage, ALL)

    rebuild_day(usage, DAY)
    rebuild_day(usage, DAY)
    insert_events(usage, ALL, token)

    assert counts(usage) == (1, 1, 1, 1, 2, 1, 1)


def test_a_day_without_anything_stays_so(usage: ClickHouse) -> None:
    rebuild_day(usage, DAY)

    assert counts(usage) == (0, 0, 0, 0, 0, 0, 0)


def test_states_whose_events_are_gone_are_not_destroyed(usage: ClickHouse) -> None:
    insert_events(usage, [*ALL, build_event(visit="x")])
    usage.command("ALTER TABLE events DELETE WHERE visit_is_new", settings={"mutations_sync": 2})

    with pytest.raises(OtelUsageError, match="would be lost"):
        rebuild_day(usage, DAY)

    assert counts(usage) == (2, 2, 2, 1, 2, 2, 2)


def test_a_day_that_is_losing_its_events_is_refused(database: ClickHouse) -> None:
    from otel_usage.schema import migrate

    migrate(database)
    set_retention(database, 30)

    with pytest.raises(OtelUsageError, match="are kept for 30 days"):
        rebuild_day(database, datetime.now(timezone.utc).date() - timedelta(days=30))


# Holding inserts.


def test_inserts_wait_while_they_are_held_and_then_count_once(usage: ClickHouse) -> None:
    with hold_inserts(usage), pytest.raises(ClickHouseUnavailable, match="inserts_held"):
        insert_events(usage, ALL, "held")
    insert_events(usage, ALL, "held")

    assert counts(usage) == (1, 1, 1, 1, 2, 1, 1)


def test_a_hold_that_nobody_extends_ends_by_itself(usage: ClickHouse) -> None:
    def is_taken() -> bool:
        try:
            insert_events(usage, ALL, "held")
        except ClickHouseUnavailable:
            return False
        return True

    with hold_inserts(usage, lease_seconds=0.2) as hold:
        wait_for(is_taken, "an insert after the lease")
        with pytest.raises(HoldLapsed):
            hold.extend()


def test_a_hold_can_be_extended(usage: ClickHouse) -> None:
    began = time.monotonic()

    with hold_inserts(usage, lease_seconds=3.0) as hold:
        while time.monotonic() - began < 4.5:  # the end of a lease is a whole second
            hold.extend()
        with pytest.raises(ClickHouseUnavailable):
            insert_events(usage, ALL)


def test_a_second_hold_waits_for_the_first_one(usage: ClickHouse) -> None:
    first = hold_inserts(usage, lease_seconds=0.2)
    first.__enter__()  # as of a process that was killed

    with hold_inserts(usage), pytest.raises(ClickHouseUnavailable):
        insert_events(usage, ALL)

    assert insert_events(usage, ALL)
