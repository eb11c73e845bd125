"""What a copy leaves in the target, whatever was there before."""

from __future__ import annotations

import re

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.builders import build_event, insert_events
from tests.copying.running import (
    assert_equal,
    assert_has_once,
    copy,
    every_byte,
    line_of,
    traffic,
)
from tests.privacy.traffic import insert_batches, reject


def test_a_copy_holds_what_the_source_does_in_every_table_state_and_view(
    source: ClickHouse, target: ClickHouse
) -> None:
    insert_batches(source, traffic(), size=60)
    reject(source, {"path": "/odd"})

    ran = copy(source, target)

    assert (ran.code, line_of(ran, "rejected_events")) == (0, [1, 1, 0, 1])
    assert "none lacks in the target, and all states agree" in ran.output
    assert_equal(source, target)


def test_a_second_copy_finds_everything_there(source: ClickHouse, target: ClickHouse) -> None:
    events = traffic()
    insert_batches(source, events, size=60)
    reject(source, {"path": "/odd"})
    copy(source, target)

    ran = copy(source, target)

    assert ran.code == 0
    assert line_of(ran, "events") == [len(events), 0, len(events), len(events)]
    assert line_of(ran, "visits_state")[1:2] == line_of(ran, "rejected_events")[1:2] == [0]
    assert_equal(source, target)


def test_values_come_through_as_they_are_byte_by_byte(source: ClickHouse, target: ClickHouse) -> None:
    structure = ", ".join(
        f"{name} {type_}"
        for name, type_ in source.query(
            "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'events' "
            "AND default_kind = '' ORDER BY position"
        ).rows
    )
    escaped = structure.replace("'", "\\'")
    columns = re.sub(r" [A-Z].*?(?=, [a-z]|$)", "", structure)
    source.command(
        f"INSERT INTO events ({columns}) SELECT * REPLACE ("
        "fromUnixTimestamp64Nano(toInt64([0, 1, 1790000000000000001, 9214646399999999999][rowNumberInAllBlocks() % 4 + 1]), 'UTC') AS timestamp, "
        "concat('\\xff\\xfe\\0\\n', path, 'é') AS path, [service_name, '', '\\xc3\\0', 'a\\'b?&{x:String}'][rowNumberInAllBlocks() % 4 + 1] AS service_name, "
        "['request', 'activity', 'counter', 'object_viewed'][rowNumberInAllBlocks() % 4 + 1] AS event_name, repeat('x', 20000) AS user_agent"
        ") "
        f"FROM generateRandom('{escaped}', 7, 40, 3) LIMIT 40"
    )

    ran = copy(source, target)

    assert (ran.code, line_of(ran, "events")) == (0, [40, 40, 0, 40])
    assert_equal(source, target)


def test_what_the_target_has_already_is_not_stored_again(source: ClickHouse, target: ClickHouse) -> None:
    events = traffic()
    insert_batches(source, events, size=60)
    insert_batches(target, events[::3], size=60)

    ran = copy(source, target)

    there = len(events[::3])
    assert line_of(ran, "events") == [len(events), len(events) - there, there, len(events)]
    assert_equal(source, target)


def test_thousands_of_events_may_be_missing_between_others(source: ClickHouse, target: ClickHouse) -> None:
    events = [build_event(path=f"/{number}") for number in range(9_000)]
    insert_events(source, events)
    insert_events(target, events[::9])

    ran = copy(source, target)

    assert (ran.code, line_of(ran, "events")) == (0, [9_000, 8_000, 1_000, 9_000])
    assert_equal(source, target)


def test_other_events_of_the_target_stay_and_count(source: ClickHouse, target: ClickHouse) -> None:
    ours, theirs, shared = traffic(1), traffic(2), traffic(3)
    insert_batches(source, ours + shared, size=60)
    insert_batches(target, theirs + shared, size=60)

    ran = copy(source, target)

    assert (ran.code, line_of(ran, "events")[1]) == (0, len(ours))
    assert_has_once(target, ours + theirs + shared)


def test_events_that_came_since_are_all_that_a_further_copy_takes(
    source: ClickHouse, target: ClickHouse
) -> None:
    insert_batches(source, traffic(1), size=60)
    copy(source, target)
    late = traffic(2)
    insert_batches(source, late, size=60)

    ran = copy(source, target)

    assert (ran.code, line_of(ran, "events")[1]) == (0, len(late))
    assert_equal(source, target)


def test_an_event_that_is_stored_twice_is_copied_once(source: ClickHouse, target: ClickHouse) -> None:
    events = traffic()
    for _ in range(2):
        insert_batches(source, events, size=60)

    ran = copy(source, target)

    assert ran.code == 0
    assert f"The source has {len(events)} rows of events that it has already" in ran.errors
    assert_has_once(target, events)


def test_a_day_of_more_events_than_a_page_at_one_moment_is_copied_whole(
    source: ClickHouse, target: ClickHouse
) -> None:
    at_once = "toDateTime64('2026-03-10 12:00:00', 9, 'UTC')"
    source.command(
        "INSERT INTO events (timestamp, event_name, service_name, trace_id_bytes, span_id_bytes) "
        f"SELECT {at_once}, 'counter', 'shop', toFixedString(unhex(leftPad(hex(cityHash64(number)), 32, '0')), 16), "
        "toFixedString(unhex(leftPad(hex(number), 16, '0')), 8) FROM numbers(45000)"
    )

    ran = copy(source, target)

    assert (ran.code, line_of(ran, "events")) == (0, [45_000, 45_000, 0, 45_000])
    assert every_byte(target) == every_byte(source)
    assert target.query("SELECT count() FROM imports FINAL WHERE startsWith(batch, 'copy-')").rows == [(4,)]


def test_the_rows_of_a_page_are_one_part(source: ClickHouse, target: ClickHouse) -> None:
    insert_events(source, [build_event() for _ in range(100)])
    insert_events(source, [build_event() for _ in range(100)])

    copy(source, target)

    parts = (
        "SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND active"
    )
    assert target.query(parts).rows == [(1,)]


def test_a_dry_run_says_what_is_new_and_stores_nothing(source: ClickHouse, target: ClickHouse) -> None:
    events = traffic()
    insert_batches(source, events, size=60)
    reject(source, {"path": "/odd"})
    insert_batches(target, events[:10], size=60)

    ran = copy(source, target, "--dry-run")

    assert (ran.code, line_of(ran, "events")) == (0, [len(events), len(events) - 10, 10, 10])
    assert line_of(ran, "rejected_events") == [1, 1, 0, 0]
    in_source, new, there, in_target = line_of(ran, "visits_state")
    assert 0 < new < in_source == new + there
    assert there == in_target
    assert target.query("SELECT count() FROM imports").rows == [(0,)]


def test_the_source_is_only_read(source: ClickHouse, target: ClickHouse) -> None:
    insert_batches(source, traffic(), size=60)
    changes = (
        "SELECT table, count(), max(modification_time) FROM system.parts "
        "WHERE database = currentDatabase() AND table IN ('events', 'imports') GROUP BY table"
    )
    before = source.query(changes).rows

    copy(source, target)

    assert [row[0] for row in source.query(changes).rows] == [row[0] for row in before] == ["events"]


def test_states_that_lack_events_in_the_target_are_named(source: ClickHouse, target: ClickHouse) -> None:
    insert_batches(source, traffic(), size=60)
    copy(source, target)
    target.command(
        "ALTER TABLE pages_daily_state DELETE WHERE day = '2026-03-31'", settings={"mutations_sync": 2}
    )

    ran = copy(source, target)

    assert ran.code == 1
    assert (
        "NOT EQUAL: the states of 'blog', 'shop' on 2026-03-31 lack events that the target has (in pages_daily_state)"
        in ran.errors
    )
    assert "Run: otel-usage rebuild --day 2026-03-31" in ran.errors


@pytest.mark.parametrize("table", ["browsers_daily_state", "visits_state"])
def test_states_that_are_torn_in_the_source_are_right_in_the_target(
    source: ClickHouse, target: ClickHouse, table: str
) -> None:
    events = traffic()
    insert_batches(source, events, size=60)
    source.command(f"TRUNCATE TABLE {table}")

    copy(source, target)

    assert_has_once(target, events)
