"""After a forget, everything that people read is as if the person had never come."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.clickhouse import INSERTS_HELD, ClickHouse, connect
from otel_usage.errors import ClickHouseUnavailable, OtelUsageError
from otel_usage.model import Event
from otel_usage.privacy import ForgetReport, Selector, forget, parse_selector, preview
from otel_usage.schema.hold import _present
from otel_usage.schema.retention import set_retention
from tests.builders import build_event, insert_events, key_of
from tests.privacy.traffic import all_views, build_traffic, insert_batches, reject
from tests.serving import ServeProcess

ANN = parse_selector(user="ann")
LEASE_SECONDS = 10.0
DAY = "2026-03-10"
ALL = 1000
"""Events in a batch, where it does not matter how they came."""


def run_forget(client: ClickHouse, selector: Selector = ANN) -> ForgetReport:
    return forget(client, selector, lease_seconds=LEASE_SECONDS)


def shuffled(events: dict[str, list[Event]], seed: int, without: Sequence[str] = ()) -> list[Event]:
    """Return the events of all people in one random order, less those of some."""
    mixed = [(person, event) for person, theirs in events.items() for event in theirs]
    Random(seed).shuffle(mixed)
    return [event for person, event in mixed if person not in without]


def tables_of(client: ClickHouse) -> set[str]:
    return {row[0] for row in client.query("SHOW TABLES").rows}


@pytest.mark.parametrize("seed", range(3))
def test_every_view_is_as_if_the_person_had_never_come(
    usage: ClickHouse, expected: ClickHouse, seed: int
) -> None:
    events = build_traffic(seed)
    insert_batches(usage, shuffled(events, seed))
    insert_batches(expected, shuffled(events, seed, without=["ann"]), size=ALL)

    report = run_forget(usage)

    assert report.is_clean
    assert all_views(usage) == all_views(expected)


@pytest.mark.parametrize(
    ("selector", "gone"),
    [
        pytest.param(parse_selector(visitor=key_of("bob")), ["bob"], id="visitor"),
        pytest.param(parse_selector(address="192.0.2.1"), ["cy", "dee"], id="address"),
        pytest.param(parse_selector(address="::ffff:192.0.2.1"), ["cy", "dee"], id="mapped address"),
    ],
)
def test_a_person_can_be_named_in_other_ways(
    usage: ClickHouse, expected: ClickHouse, selector: Selector, gone: list[str]
) -> None:
    events = build_traffic(4)
    insert_batches(usage, shuffled(events, 4))
    insert_batches(expected, shuffled(events, 4, without=gone), size=ALL)

    assert run_forget(usage, selector).is_clean

    assert all_views(usage) == all_views(expected)


def test_one_visit_goes_and_the_others_of_its_visitor_stay(usage: ClickHouse, expected: ClickHouse) -> None:
    events = shuffled(build_traffic(5, days=[DAY]), 5)
    visit = key_of("ann-5-1")
    insert_batches(usage, events)
    insert_batches(
        expected, [event for event in events if event.attributes[names.VISIT_KEY] != visit], size=ALL
    )

    assert run_forget(usage, parse_selector(visit=visit)).is_clean

    assert all_views(usage) == all_views(expected)


def test_a_visit_over_midnight_goes_from_both_months(usage: ClickHouse, expected: ClickHouse) -> None:
    others = [build_event(at=f"2026-0{month}", visit="other", visitor="bob") for month in ("3-31T23:59:00", "4-01T00:10:00")]  # fmt: skip
    before = build_event(at="2026-03-31T23:59:59.999999999", visit="v", visitor="a", is_new=True)
    after = build_event(at="2026-04-01T00:00:00", visit="v", visitor="a", user_id="ann")
    insert_events(usage, [before, after, *others])
    insert_events(expected, others)

    run_forget(usage)

    assert all_views(usage) == all_views(expected)


def test_the_anonymous_part_of_a_visit_goes_and_the_visitors_other_visits_stay(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(visit="first", visitor="w", is_new=True),
            build_event(visit="second", visitor="w", is_new=True),
            build_event("login", visit="second", visitor="w", user_id="ann"),
        ],
    )

    run_forget(usage)

    assert usage.query("SELECT visit_key FROM events").rows == [(key_of("first"),)]


def test_a_request_without_a_visit_takes_no_other_with_it(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(user_id="ann"), build_event(), build_event(user_id="bob")])

    run_forget(usage)

    assert usage.query("SELECT user_id FROM events ORDER BY user_id").rows == [("",), ("bob",)]


def test_the_report_counts_rows_before_and_after(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="v", user_id="ann", is_new=True), build_event(visit="w")])

    report = run_forget(usage)

    counts = {count.table: (count.before, count.after) for count in report.tables if count.before}
    assert counts == {
        "events": (1, 0),
        "visits_state": (1, 0),
        "browsers_daily_state": (1, 0),
        "ips_daily_state": (1, 0),
        "pages_daily_state": (1, 0),
        "summaries_state": (8, 0),
    }


def test_a_look_before_changes_nothing(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="v", user_id="ann", is_new=True), build_event(visit="w")])
    before, tables = all_views(usage), tables_of(usage)

    report = preview(usage, ANN)

    assert {count.table: count.before for count in report.tables}["events"] == 1
    assert (all_views(usage), tables_of(usage)) == (before, tables)


def test_nothing_held_is_no_failure(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="w")])

    report = run_forget(usage)

    assert report.lines() == ["Nothing is held of this person."]
    assert report.is_clean


def test_nothing_names_the_person_afterwards(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="v", user_id="somebody-unmistakable")])
    tables = tables_of(usage)

    run_forget(usage, parse_selector(user="somebody-unmistakable"))

    commands = usage.query("SELECT command FROM system.mutations WHERE database = currentDatabase()").rows
    assert commands
    assert not [row for row in commands if "unmistakable" in row[0] or key_of("v") in row[0].lower()]
    assert tables_of(usage) == tables


def test_rows_are_deleted_and_not_hidden(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="v", user_id="ann"), build_event()])

    run_forget(usage)

    parts = usage.query(
        "SELECT sum(rows), sum(has_lightweight_delete) FROM system.parts "
        "WHERE database = currentDatabase() AND table = 'events' AND active"
    ).rows
    assert parts == [(1, 0)]


# Rejected events.


@pytest.mark.parametrize(
    ("selector", "body"),
    [
        pytest.param(ANN, {names.USER_ID: "ann"}, id="user"),
        pytest.param(parse_selector(user="42"), {names.USER_ID: 42}, id="user that is a number"),
        pytest.param(parse_selector(visit=key_of("v")), {names.VISIT_KEY: key_of("v").upper()}, id="visit"),
        pytest.param(parse_selector(visitor=key_of("w")), {names.VISITOR_ID: key_of("w")}, id="visitor"),
        pytest.param(parse_selector(address="192.0.2.7"), {names.CLIENT_ADDRESS: "192.0.2.7"}, id="address"),
        pytest.param(parse_selector(address="2001:db8::1"), {names.CLIENT_ADDRESS: "2001:DB8:0::1"}, id="IPv6"),
    ],
)  # fmt: skip
def test_rejected_events_of_the_person_go(
    usage: ClickHouse, selector: Selector, body: dict[str, Any]
) -> None:
    reject(usage, body, "theirs")
    reject(usage, {names.PATH: "/ann", names.CLIENT_ADDRESS: "nonsense", names.VISIT_KEY: 7}, "another")

    assert run_forget(usage, selector).is_clean

    assert usage.query("SELECT event_id FROM rejected_events").rows == [("another",)]


def test_rejected_events_of_the_persons_visits_go(usage: ClickHouse) -> None:
    foreign = "a visit key of another manager's own"
    insert_events(
        usage,
        [build_event(visit="v", user_id="ann"), build_event(user_id="ann")._replace(attributes={names.VISIT_KEY: foreign, names.USER_ID: "ann"})],
    )  # fmt: skip
    reject(usage, {names.VISIT_KEY: key_of("v")}, "by key")
    reject(usage, {names.VISIT_KEY: foreign}, "by foreign key")
    reject(usage, {names.VISIT_KEY: key_of("w")}, "another")

    assert run_forget(usage).is_clean

    assert usage.query("SELECT event_id FROM rejected_events").rows == [("another",)]


def test_hashed_addresses_are_found_by_their_hash(usage: ClickHouse) -> None:
    hashed = build_event()._replace(attributes={names.CLIENT_ADDRESS_HASH: "ab" * 16})
    insert_events(usage, [hashed, build_event(client_address="192.0.2.9")])
    selector = Selector("address", "192.0.2.1", "ab" * 16)

    run_forget(usage, selector)

    assert usage.query("SELECT client_address_hash FROM events").rows == [("",)]


# Batches that come again, and writers that do not stop.


def test_batches_that_come_again_bring_nobody_back(usage: ClickHouse, expected: ClickHouse) -> None:
    events = build_traffic(7, days=[DAY])
    batches = insert_batches(usage, shuffled(events, 7))
    insert_batches(expected, shuffled(events, 7, without=["ann"]), size=ALL)

    run_forget(usage)
    for token, batch in batches.items():
        insert_events(usage, batch, token)

    assert all_views(usage) == all_views(expected)


def test_forgetting_twice_is_forgetting_once(usage: ClickHouse, expected: ClickHouse) -> None:
    events = build_traffic(8, days=[DAY])
    insert_batches(usage, shuffled(events, 8))
    insert_batches(expected, shuffled(events, 8, without=["ann", "bob"]), size=ALL)

    run_forget(usage)
    run_forget(usage, parse_selector(user="bob"))
    assert run_forget(usage).lines() == ["Nothing is held of this person."]

    assert all_views(usage) == all_views(expected)


def insert_all(client: ClickHouse, batches: Sequence[tuple[str, list[Event]]]) -> None:
    """Insert each batch until it is taken, as our writers do."""
    for token, batch in batches:
        while True:
            try:
                insert_events(client, batch, token)
                break
            except ClickHouseUnavailable:
                threading.Event().wait(0.05)


def test_what_is_inserted_meanwhile_is_neither_lost_nor_doubled(
    usage: ClickHouse, expected: ClickHouse, serve: ServeProcess
) -> None:
    events, later = build_traffic(9, days=[DAY]), build_traffic(109, ["bob", "cy"], 6, [DAY])
    insert_batches(usage, shuffled(events, 9))
    insert_batches(expected, [*shuffled(events, 9, without=["ann"]), *shuffled(later, 9)], size=ALL)
    waiting = shuffled(later, 9)
    batches = [(f"later-{n}", waiting[n : n + 5]) for n in range(0, len(waiting), 5)]
    writers = []
    for half in (batches[::2], batches[1::2]):
        client = connect(serve.dsn_of(usage.dsn.database))
        writers.append(threading.Thread(target=insert_all, args=(client, half)))

    for writer in writers:
        writer.start()
    report = run_forget(usage)
    for writer in writers:
        writer.join()

    assert report.is_clean
    assert all_views(usage) == all_views(expected)


# Killed in between.


class Killed(BaseException):
    """The process is no more."""


class DyingClient:
    """A connection that does nothing any more after a statement, as if the process had been killed."""

    def __init__(self, client: ClickHouse, last: str) -> None:
        self._client = client
        self._last = last
        self.is_dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._watched(found) if name in ("query", "command", "insert") else found

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(statement: str, *arguments: Any, **options: Any) -> Any:
            if self.is_dead:
                raise Killed
            result = method(statement, *arguments, **options)
            self.is_dead = bool(re.match(self._last, statement))
            if self.is_dead:
                raise Killed
            return result

        return run


def end_lease(client: ClickHouse) -> None:
    """Let the hold of a process that is no more be one whose lease has ended, as it does by itself."""
    deadline, owner = _present(client)
    if owner:
        client.command(
            f"ALTER TABLE events DROP CONSTRAINT {INSERTS_HELD}, ADD CONSTRAINT {INSERTS_HELD} "
            f"CHECK now() >= toDateTime({deadline - 3600}, 'UTC') AND '{owner}' != ''"
        )
    assert _present(client) == (deadline and deadline - 3600, owner)


@pytest.mark.parametrize(
    "last",
    [
        "CREATE TABLE forgetting_",
        "INSERT INTO forgetting_",
        "ALTER TABLE events ADD CONSTRAINT",
        "CREATE TABLE rebuilt_keys_of_ips",
        "INSERT INTO rebuilt_ips",
        "ALTER TABLE browsers_daily_state REPLACE",
        "ALTER TABLE pages_daily_state REPLACE",
        "ALTER TABLE visits_state DELETE",
        "ALTER TABLE events DELETE",
        "ALTER TABLE events DROP CONSTRAINT",
        "DROP TABLE IF EXISTS forgetting_",
    ],
)
def test_a_forget_that_was_killed_is_finished_by_the_next(
    usage: ClickHouse, expected: ClickHouse, last: str
) -> None:
    events = build_traffic(10, visits=2, days=[DAY])
    late = build_event(at="2026-03-10T12:00:00", visit="ann-10-0", visitor="ann", user_id="ann")
    insert_batches(usage, shuffled(events, 10), size=30)
    insert_batches(expected, shuffled(events, 10, without=["ann"]), size=ALL)

    with pytest.raises(Killed):
        run_forget(DyingClient(usage, last))  # type: ignore[arg-type]
    end_lease(usage)
    insert_all(usage, [(f"late-{last}", [late])])
    report = run_forget(usage)

    assert report.is_clean
    assert all_views(usage) == all_views(expected)
    assert not [name for name in tables_of(usage) if name.startswith(("forgetting_", "rebuilt_"))]


# Events that are gone, and states that are not what the events give.


def delete_events(client: ClickHouse, condition: str) -> None:
    client.command(f"ALTER TABLE events DELETE WHERE {condition}", settings={"mutations_sync": 2})


def test_counts_whose_events_are_gone_are_left_alone_and_told(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-01T12:00:00", visit="old", user_id="ann", is_new=True),
            build_event(at="2026-03-01T12:00:00", visit="other", is_new=True),
            build_event(at="2026-03-02T12:00:00", visit="new", user_id="ann", is_new=True),
        ],
    )
    delete_events(usage, "toDate(timestamp) = '2026-03-01'")

    report = run_forget(usage)

    assert report.is_clean
    assert any(note.startswith("Events of 2026-03-01 were deleted by age") for note in report.notes)
    assert usage.query("SELECT toString(day), requests FROM browsers_daily").rows == [("2026-03-01", 2)]
    assert usage.query("SELECT visit_key FROM visits").rows == [(key_of("other"),)]


def test_a_day_of_which_some_events_are_gone_keeps_its_counts(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="other", is_new=True), build_event(visit="v", user_id="ann")])
    delete_events(usage, f"visit_key = '{key_of('other')}'")

    report = run_forget(usage)

    assert report.is_clean
    assert report.notes
    assert usage.query("SELECT requests FROM browsers_daily").rows == [(2,)]


def test_days_that_lose_their_events_now_keep_their_counts(own_database: ClickHouse) -> None:
    today = datetime.now(timezone.utc)
    expiring = f"{today - timedelta(days=30):%Y-%m-%d}T23:59:59"
    insert_events(
        own_database, [build_event(at=expiring, visit="v", user_id="ann"), build_event(at=expiring)]
    )
    # Merges by age come once a day, so that the row that is left is there still.
    own_database.command("ALTER TABLE events MODIFY SETTING materialize_ttl_recalculate_only = 1")
    set_retention(own_database, 30)

    report = run_forget(own_database)

    assert report.is_clean
    assert report.notes
    assert own_database.query("SELECT sum(requests) FROM browsers_daily").rows == [(2,)]


def test_a_batch_that_is_stored_in_part_stops_a_forget_until_it_is_whole(
    own_database: ClickHouse, expected: ClickHouse
) -> None:
    view = own_database.query("SELECT create_table_query FROM system.tables WHERE name = 'pages_daily_mv' AND database = currentDatabase()").rows[0][0]  # fmt: skip
    events = [build_event(visit="v", user_id="ann"), build_event(visit="w")]
    own_database.command("DROP VIEW pages_daily_mv")
    insert_events(own_database, events, "torn")
    own_database.command(view)
    insert_events(expected, events[1:])

    with pytest.raises(OtelUsageError, match="stored in part"):
        run_forget(own_database)
    insert_events(own_database, events, "torn")

    assert run_forget(own_database).is_clean
    assert all_views(own_database) == all_views(expected)


def test_events_that_a_foreign_client_doubled_stay_doubled(usage: ClickHouse, expected: ClickHouse) -> None:
    events = [build_event(visit="v", user_id="ann"), build_event(visit="w")]
    for again in range(2):
        insert_events(usage, events, f"usage-{again}")
        insert_events(expected, events[1:], f"expected-{again}")

    run_forget(usage)

    assert all_views(usage) == all_views(expected)
