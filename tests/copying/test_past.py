"""Days whose events are gone: their states are copied, and nothing counts twice."""

from __future__ import annotations

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.copying import copy_database, past, states
from otel_usage.schema import migrate
from tests.builders import build_event, insert_events
from tests.copying.running import assert_equal, copy, every_byte, every_state, line_of, traffic
from tests.importers.importing import count
from tests.privacy.traffic import insert_batches

_NOW = {"mutations_sync": 2}


def forget_events(client: ClickHouse, where: str) -> None:
    """Delete events, as their age would; the states stay."""
    client.command(f"ALTER TABLE events DELETE WHERE {where}", settings=_NOW)


def test_states_outlive_their_events_in_the_target_too(source: ClickHouse, target: ClickHouse) -> None:
    insert_batches(source, traffic(), size=60)
    forget_events(
        source, "toDate(timestamp) = '2026-03-30' OR (toDate(timestamp) = '2026-03-31' AND path != '/')"
    )

    ran = copy(source, target)

    assert ran.code == 0
    assert_equal(source, target)
    assert line_of(copy(source, target), "visits_state")[1] == 0
    assert_equal(source, target)


def test_states_of_events_that_the_target_had_before_they_went_are_not_added(
    source: ClickHouse, target: ClickHouse
) -> None:
    insert_batches(source, traffic(), size=60)
    copy(source, target)
    forget_events(source, "toDate(timestamp) <= '2026-03-31'")
    before = every_state(target)

    ran = copy(source, target)

    assert (ran.code, every_state(target)) == (0, before)


def test_a_day_of_which_the_target_has_other_states_is_refused_and_the_rest_copied(
    source: ClickHouse, target: ClickHouse
) -> None:
    insert_events(source, [build_event(at=f"2026-03-{day}T10:00:00") for day in (10, 11, 12)])
    insert_events(target, [build_event(at="2026-03-10T11:00:00", browser="Firefox")])
    forget_events(source, "toDate(timestamp) <= '2026-03-11'")
    before = target.query("SELECT sum(requests) FROM browsers_daily WHERE day = '2026-03-10'").rows

    ran = copy(source, target)

    assert ran.code == 1
    assert (
        "NOT EQUAL: the states of 2026-03-10 of 'shop' were not copied: the target has others" in ran.errors
    )
    assert target.query("SELECT sum(requests) FROM browsers_daily WHERE day = '2026-03-10'").rows == before
    assert target.query(
        "SELECT day, sum(requests) FROM browsers_daily GROUP BY day ORDER BY day OFFSET 1"
    ).rows == (
        source.query("SELECT day, sum(requests) FROM browsers_daily GROUP BY day ORDER BY day OFFSET 1").rows
    )


def test_what_the_target_would_delete_by_its_age_comes_as_states(
    source: ClickHouse, database: ClickHouse
) -> None:
    migrate(database, retention_days=30)
    insert_batches(source, traffic(), size=60)

    for copied in (True, False):
        ran = copy(source, database)

        assert (ran.code, line_of(ran, "visits_state")[1] > 0) == (0, copied)
        assert (every_state(database), count(database)) == (every_state(source), 0)


def test_many_keys_come_in_batches_of_which_those_that_lack_are_copied(
    source: ClickHouse, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_KEYS_A_BATCH", 3)
    insert_events(source, [build_event(visit=f"visit {number}") for number in range(12)])
    forget_events(source, "1")
    copy(source, target)
    target.command(
        "ALTER TABLE visits_state DELETE WHERE cityHash64(service_name, day, visit_key_bytes) % 4 = 1",
        settings=_NOW,
    )
    assert every_state(target) != every_state(source)

    ran = copy(source, target)

    assert ran.code == 0
    assert every_state(target) == every_state(source)


def test_the_events_that_are_left_are_looked_at_in_a_dry_run_too(
    source: ClickHouse, target: ClickHouse
) -> None:
    insert_batches(source, traffic(), size=60)
    forget_events(source, "path != '/'")

    ran = copy(source, target, "--dry-run")

    left = count(source)
    assert line_of(ran, "events") == [left, left, 0, 0]
    assert line_of(ran, "visits_state")[:2] == [line_of(ran, "visits_state")[0]] * 2
    assert every_byte(target)["events"] == []


def switch_over(source: ClickHouse, target: ClickHouse) -> None:
    """Copy a day of which the target has other events too."""
    insert_events(source, [build_event(path=path, visit=path) for path in ("/a", "/b")])
    insert_events(target, [build_event(path="/c", visit="/c")])
    assert copy(source, target).code == 0


@pytest.mark.parametrize("gone", ["1", "path = '/a'"], ids=["all", "some"])
def test_a_day_with_events_on_both_sides_stays_copied_when_those_of_the_source_go(
    source: ClickHouse, target: ClickHouse, gone: str
) -> None:
    switch_over(source, target)
    forget_events(source, gone)
    before = every_byte(target), every_state(target)

    for _ in range(2):
        ran = copy(source, target)

        assert (ran.code, "all states that can be compared agree" in ran.output) == (0, True), ran.errors
        assert "2026-03-10 of 'shop' cannot be compared any more" in ran.errors
        assert (every_byte(target), every_state(target)) == before


def test_the_same_day_stays_copied_when_the_target_deletes_events_by_age(
    source: ClickHouse, database: ClickHouse
) -> None:
    migrate(database)
    switch_over(source, database)
    migrate(database, retention_days=30)
    before = every_state(database)

    ran = copy(source, database)

    assert (ran.code, every_state(database)) == (0, before), ran.errors


def test_what_the_source_has_counted_since_is_not_taken_for_copied(
    source: ClickHouse, target: ClickHouse
) -> None:
    switch_over(source, target)
    insert_events(source, [build_event(path="/late")])
    forget_events(source, "1")

    ran = copy(source, target)

    assert ran.code == 1
    assert (
        "NOT EQUAL: the states of 2026-03-10 of 'shop' were not copied: the target has others" in ran.errors
    )


def test_what_one_source_had_is_not_taken_for_that_of_another_one(
    source: ClickHouse, database: ClickHouse, target: ClickHouse
) -> None:
    migrate(database)
    switch_over(source, target)
    insert_events(database, [build_event(path=path, visit=path) for path in ("/a", "/b")])
    forget_events(database, "1")
    assert every_state(database) == every_state(source)

    ran = copy(database, target)

    assert (ran.code, "were not copied: the target has others" in ran.errors) == (1, True)


def test_a_copy_that_was_killed_before_its_notes_writes_them_the_next_time(
    source: ClickHouse, target: ClickHouse
) -> None:
    switch_over(source, target)
    target.command("TRUNCATE TABLE imports")
    copy(source, target)
    forget_events(source, "1")

    assert copy(source, target).code == 0


def test_events_that_go_while_they_are_copied_are_not_taken_for_copied(
    source: ClickHouse, target: ClickHouse
) -> None:
    insert_events(source, [build_event(path="/a")])
    insert_events(target, [build_event(path="/c")])

    def forget_at_the_end(what: str) -> None:
        if what == "Comparing both sides":
            forget_events(source, "1")

    report = copy_database(source.dsn.masked, target.dsn.masked, say=forget_at_the_end)

    assert report.faults[0].startswith("the source has deleted events of 'shop' on 2026-03-10 while")
    assert copy(source, target).code == 1


def test_over_a_cluster_events_that_are_there_already_are_not_missed(
    source: ClickHouse, target: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_batches(source, traffic(), size=60)
    copy(source, target)
    forget_events(source, "path != '/'")
    monkeypatch.setattr(past, "cluster_in_force", lambda _: "usage_cluster")

    assert copy(source, target).code == 0
    forget_events(target, "toDate(timestamp) = '2026-03-31'")
    ran = copy(source, target)

    assert (ran.code, "NOT EQUAL: what is left of the events of 1 days" in ran.errors) == (1, True), (
        ran.errors
    )


def test_events_that_the_target_has_deleted_come_back_and_count_once(
    source: ClickHouse, target: ClickHouse
) -> None:
    insert_batches(source, traffic(), size=60)
    copy(source, target)
    forget_events(target, "path != '/'")

    ran = copy(source, target)

    assert ran.code == 0, ran.errors
    assert_equal(source, target)


def test_events_are_not_added_to_states_of_events_that_the_target_has_deleted(
    source: ClickHouse, target: ClickHouse
) -> None:
    for client, paths in ((source, ("/a", "/b")), (target, ("/a", "/c"))):
        insert_events(client, [build_event(path=path, visit=path) for path in paths])
    forget_events(target, "path = '/a'")
    before = every_state(target)

    ran = copy(source, target)

    assert (ran.code, "were not copied: the target has others" in ran.errors) == (1, True)
    assert every_state(target) == before
