"""A forget also reaches the spans that a Collector stores, and an export shows them."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.pipeline.events import to_span
from otel_usage.privacy import Selector, export_person, forget, parse_selector, preview
from otel_usage.schema import migrate
from tests.builders import build_event, insert_events, key_of
from tests.collector_rows import traces_rows
from tests.landing import land_events, land_rows
from tests.privacy.test_forget import DyingClient, Killed, end_lease
from tests.privacy.traffic import all_views, build_traffic

ANN = parse_selector(user="ann")
FOREIGN_KEY = "a visit key of another manager's own"


def build_row(scope: str = "otel_usage", *, trace: str = "", **changes: Any) -> dict[str, Any]:
    """Return a row of `otel_traces` with these attributes and no others, by default of a trace of its own."""
    (row,) = traces_rows([to_span(build_event())])
    ids = {"TraceId": trace or secrets.token_hex(16), "SpanId": secrets.token_hex(8)}
    return {**row, **ids, "ScopeName": scope, **changes}


def usage_row(attributes: dict[str, str], scope: str = "otel_usage", trace: str = "") -> dict[str, Any]:
    """Return a row that also becomes an event."""
    marks = {names.EVENT_ID: "any", names.EVENT_NAME: names.REQUEST}
    return build_row(scope, trace=trace, SpanAttributes={**marks, **attributes})


def other_row(attributes: dict[str, str], trace: str = "") -> dict[str, Any]:
    """Return the row of a span that is no event: one of an app's tracing."""
    return build_row("opentelemetry.instrumentation.wsgi", trace=trace, SpanAttributes=attributes)


def spans_left(client: ClickHouse) -> set[str]:
    return {row[0] for row in client.query("SELECT SpanId FROM otel_traces").rows}


def ids(*rows: dict[str, Any]) -> set[str]:
    return {row["SpanId"] for row in rows}


def counts(client: ClickHouse) -> list[int]:
    return [client.query(f"SELECT count() FROM {table}").rows[0][0] for table in ("otel_traces", "events")]


@pytest.mark.parametrize(
    ("selector", "own", "foreign", "somebody"),
    [
        pytest.param(
            ANN,
            [{names.USER_ID: "ann"}],
            [{"enduser.id": "ann"}, {names.USER_ID: '["ann"]'}, {names.USER_ID: '{"values":[{"stringValue":"ann"}]}'}],
            {names.USER_ID: "anna"},
            id="user",
        ),
        pytest.param(
            parse_selector(visit=key_of("v")),
            [{names.VISIT_KEY: key_of("v")}, {names.VISIT_KEY: key_of("v").upper()}],
            [],
            {names.VISIT_KEY: key_of("w")},
            id="visit",
        ),
        pytest.param(
            parse_selector(visitor=key_of("v")),
            [{names.VISITOR_ID: key_of("v")}],
            [],
            {names.VISITOR_ID: key_of("w"), names.VISIT_KEY: key_of("v")},
            id="visitor",
        ),
        pytest.param(
            parse_selector(address="2001:db8::7"),
            [{names.CLIENT_ADDRESS: "2001:DB8:0::7"}, {names.CLIENT_ADDRESS: "2001:db8::7%eth0"}],
            [{"http.client_ip": "2001:db8::7"}],
            {names.CLIENT_ADDRESS: "2001:db8::8", names.PEER_ADDRESS: "2001:db8::7"},
            id="address",
        ),
        pytest.param(
            Selector("address", "192.0.2.9", address_hash="abc"),
            [{names.CLIENT_ADDRESS_HASH: "abc"}],
            [],
            {names.CLIENT_ADDRESS_HASH: "abcd"},
            id="hashed address",
        ),
    ],
)  # fmt: skip
def test_the_spans_of_a_person_go_however_they_name_them(
    usage: ClickHouse,
    selector: Selector,
    own: list[dict[str, str]],
    foreign: list[dict[str, str]],
    somebody: dict[str, str],
) -> None:
    theirs = [*map(usage_row, own), *(usage_row(attributes, "another.scope") for attributes in foreign)]
    # As an app's own trace exporter sends them: those come with no event.
    theirs += [other_row(attributes) for attributes in own if "%" not in "".join(attributes.values())]
    others = [usage_row(somebody), other_row(somebody), other_row({})]
    land_rows(usage, [*theirs, *others])

    report = forget(usage, selector)

    assert report.is_clean
    assert spans_left(usage) == ids(*others)
    assert {count.table: (count.before, count.after) for count in report.tables}["otel_traces"] == (
        len(theirs),
        0,
    )
    assert counts(usage) == [3, 1]


def test_the_spans_of_a_visit_go_with_it_and_so_does_what_its_traces_did_for_it(usage: ClickHouse) -> None:
    theirs, shared = secrets.token_hex(16), secrets.token_hex(16)
    gone = [
        usage_row({names.VISIT_KEY: FOREIGN_KEY}, trace=theirs),
        usage_row({names.VISIT_KEY: FOREIGN_KEY, names.USER_ID: "ann"}),
        other_row({"db.query.text": "SELECT * FROM users WHERE name = 'ann'"}, trace=theirs.upper()),
        usage_row({names.USER_ID: "ann"}, trace=shared),
    ]
    stays = [
        other_row({names.USER_ID: "bob"}, trace=shared),
        usage_row({}, trace=shared),
        other_row({"db.query.text": "SELECT 1"}),
    ]
    land_rows(usage, [*gone, *stays])

    assert forget(usage, ANN).is_clean

    assert spans_left(usage) == ids(*stays)


def test_every_view_is_as_if_the_person_had_never_come_by_a_collector(
    usage: ClickHouse, expected: ClickHouse
) -> None:
    events = build_traffic(11, visits=2, days=["2026-03-10"])
    for person, theirs in events.items():
        land_events(usage, theirs)
        if person != "ann":
            land_events(expected, theirs)

    assert forget(usage, ANN).is_clean

    assert all_views(usage) == all_views(expected)
    assert counts(usage) == counts(expected)


def test_spans_whose_events_are_gone_by_age_are_found_by_what_they_say(usage: ClickHouse) -> None:
    land_events(
        usage, [build_event(visit="v"), build_event(visit="v", user_id="ann"), build_event(visit="w")]
    )
    usage.command("TRUNCATE TABLE events")

    assert forget(usage, ANN).is_clean

    assert usage.query("SELECT SpanAttributes['session.id'] FROM otel_traces").rows == [(key_of("w"),)]


def test_events_of_the_visits_of_a_span_go_though_no_event_names_the_user(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="v"), build_event(visit="w")])
    land_rows(usage, [other_row({names.VISIT_KEY: key_of("v"), names.USER_ID: "ann"})])

    assert forget(usage, ANN).is_clean

    assert usage.query("SELECT visit_key FROM events").rows == [(key_of("w"),)]


def test_rejected_events_of_a_collector_go(usage: ClickHouse) -> None:
    rejected = {names.REJECTED_REASON: "other"}
    land_rows(usage, [usage_row({names.USER_ID: user, **rejected}) for user in ("ann", "bob")])

    assert forget(usage, ANN).is_clean

    assert usage.query("SELECT JSONExtractString(body, 'user.id') FROM rejected_events").rows == [("bob",)]


def test_a_look_before_counts_the_spans_and_changes_nothing(usage: ClickHouse) -> None:
    trace = secrets.token_hex(16)
    land_rows(
        usage, [usage_row({names.USER_ID: "ann"}, trace=trace), other_row({}, trace=trace), other_row({})]
    )

    report = preview(usage, ANN)

    assert {count.table: count.before for count in report.tables}["otel_traces"] == 2
    assert counts(usage) == [3, 1]


def test_an_export_holds_the_spans_that_a_forget_would_remove(usage: ClickHouse) -> None:
    trace = secrets.token_hex(16)
    theirs = [usage_row({names.USER_ID: "ann"}, trace=trace), other_row({}, trace=trace)]
    land_rows(usage, [*theirs, other_row({})])

    rows = [json.loads(line) for line in export_person(usage, ANN)]

    found = [row for row in rows if row["table"] == "otel_traces"]
    assert {row["SpanId"] for row in found} == ids(*theirs)
    assert found[0]["Timestamp"] == "2026-03-10T12:00:00.000000000Z"
    assert {"ann", ""} == {row["SpanAttributes"].get(names.USER_ID, "") for row in found}
    assert forget(usage, ANN).is_clean
    assert list(export_person(usage, ANN)) == []


def test_where_no_spans_are_kept_there_are_none_to_remove(database: ClickHouse) -> None:
    migrate(database, otel_traces="null")
    land_events(database, [build_event(user_id="ann"), build_event()])

    report = forget(database, ANN)

    assert report.is_clean
    assert {count.table: count.before for count in report.tables}["otel_traces"] == 0
    assert [row["table"] for row in map(json.loads, export_person(database, ANN))] == []
    assert counts(database) == [0, 1]


@pytest.mark.parametrize("last", ["ALTER TABLE events DELETE", "ALTER TABLE otel_traces DELETE"])
def test_a_forget_that_was_killed_finds_the_spans_whose_events_went_first(
    usage: ClickHouse, last: str
) -> None:
    # Nothing but its event says whose span this is.
    listed = usage_row({names.USER_ID: '["ann"]'}, "another.scope")
    land_rows(usage, [listed, other_row({}, trace=listed["TraceId"]), other_row({})])

    with pytest.raises(Killed):
        forget(DyingClient(usage, last), ANN)  # type: ignore[arg-type]
    end_lease(usage)
    assert forget(usage, ANN).is_clean

    assert counts(usage) == [1, 0]
