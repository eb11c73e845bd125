"""The table `events`: its columns, its readable ids, its indexes, and the columns of every public view."""

from __future__ import annotations

from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.pipeline.rows import COLUMNS
from tests.builders import build_event, insert_events, key_of

FIXED_COLUMNS = {
    "events": "timestamp event_id event_name service_name trace_id span_id visit_key visit_is_new visitor_id user_id "
    "client_address country region city user_agent browser browser_version os os_version device_type is_bot bot_name method path "
    "query route status_code duration_ns referrer referrer_domain object_type object_id funnel stage stage_index "
    "counter_name counter_value properties scheme host language endpoint blueprint view_args bytes_sent forwarded_for "
    "peer_address has_authorization campaign_source campaign_medium campaign_name campaign_term campaign_content",
    "browsers_daily": "day service_name browser os device_type is_bot requests visits visitors",
    "ips_daily": "day service_name client_address country is_bot requests visits first_seen last_seen",
    "pages_daily": "day service_name path route is_bot requests visits errors duration_p50_ns duration_p95_ns",
    "objects_daily": "day service_name object_type object_id views visits users",
    "counters_daily": "day service_name object_type object_id counter_name value",
    "visits": "visit_key service_name started last_seen requests user_id client_address browser os device_type country "
    "is_bot entry_path exit_path referrer_domain campaign_source confirmed",
    "funnel_stages": "funnel stage stage_index service_name visit_key user_id reached_at",
    "conversions_daily": "day service_name funnel stage stage_index visits share_of_first",
    "rejected_events": "timestamp reason event_id body",
}


def columns_of(client: ClickHouse, table: str, *kinds: str) -> list[str]:
    rows = client.query(
        "SELECT name, default_kind FROM system.columns "
        "WHERE database = currentDatabase() AND table = {table:String} ORDER BY position",
        {"table": table},
    ).rows
    return [name for name, kind in rows if not kinds or kind in kinds]


def test_the_stored_columns_are_those_that_the_exporter_inserts(usage: ClickHouse) -> None:
    assert columns_of(usage, "events", "") == [column.name for column in COLUMNS]


@pytest.mark.parametrize("table", FIXED_COLUMNS)
def test_the_columns_that_people_rely_on_are_there(usage: ClickHouse, table: str) -> None:
    assert set(columns_of(usage, table)) >= set(FIXED_COLUMNS[table].split())


def test_times_keep_their_nanoseconds(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(at="2026-03-10T12:00:00.123456789")])

    rows = usage.query("SELECT toString(timestamp), toTypeName(timestamp) FROM events").rows

    assert rows == [("2026-03-10 12:00:00.123456789", "DateTime64(9, 'UTC')")]


def test_ids_read_as_hex(usage: ClickHouse) -> None:
    event = build_event(visit="v", visitor="w")
    insert_events(usage, [event])

    rows = usage.query(
        "SELECT event_id, trace_id, span_id, parent_span_id, visit_key, visitor_id FROM events"
    ).rows

    ids = (event.id, event.trace_id.hex(), event.span_id.hex(), "0" * 16, key_of("v"), key_of("w"))
    assert rows == [ids]


def test_an_event_without_visit_and_visitor_has_empty_keys(usage: ClickHouse) -> None:
    insert_events(usage, [build_event()])

    assert usage.query("SELECT visit_key, visitor_id FROM events").rows == [("", "")]


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        pytest.param("192.0.2.7", "::ffff:192.0.2.7", id="IPv4 is mapped"),
        pytest.param("2001:db8::7", "2001:db8::7", id="IPv6"),
        pytest.param("", "::", id="unknown"),
    ],
)
def test_addresses_are_ipv6(usage: ClickHouse, address: str, stored: str) -> None:
    insert_events(usage, [build_event(client_address=address)])

    assert usage.query("SELECT toString(client_address) FROM events").rows == [(stored,)]


def granules_by_index(client: ClickHouse, condition: str, parameters: dict[str, Any]) -> dict[str, str]:
    """Return how many of the granules each skip index kept, such as `1/3`."""
    lines = client.query(f"EXPLAIN indexes = 1 SELECT * FROM events WHERE {condition}", parameters).rows
    kept: dict[str, str] = {}
    name = ""
    for (line,) in lines:
        label, _, value = line.strip().partition(": ")
        if label == "Name":
            name = value
        elif label == "Granules":
            kept[name] = value
    return kept


@pytest.mark.parametrize(
    ("column", "index"),
    [
        pytest.param("trace_id", "trace_id_bloom", id="trace"),
        pytest.param("visit_key", "visit_key_bloom", id="visit"),
        pytest.param("user_id", "user_id_bloom", id="user"),
        pytest.param("client_address", "client_address_bloom", id="address"),
    ],
)
def test_looking_for_one_of_them_reads_a_part_of_the_table(
    usage: ClickHouse, column: str, index: str
) -> None:
    events = [
        build_event(visit=f"v{n}", user_id=f"u{n}", client_address=f"10.0.{n // 250}.{n % 250}")
        for n in range(20_000)
    ]
    insert_events(usage, events)
    wanted = {
        "trace_id": events[100].trace_id.hex(),
        "visit_key": key_of("v100"),
        "user_id": "u100",
        "client_address": "::ffff:10.0.0.100",
    }[column]
    type_ = "IPv6" if column == "client_address" else "String"

    kept = granules_by_index(usage, f"{column} = {{wanted:{type_}}}", {"wanted": wanted})

    remaining, _, all_granules = kept[index].partition("/")
    assert int(remaining) < int(all_granules)
    found = usage.query(f"SELECT count() FROM events WHERE {column} = {{wanted:{type_}}}", {"wanted": wanted})
    assert found.rows == [(1,)]


def test_a_span_of_time_is_found_by_the_key(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [build_event(at=f"2026-03-10T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}") for n in range(40_000)],
    )

    lines = usage.query(
        "EXPLAIN indexes = 1 SELECT * FROM events WHERE service_name = 'shop' AND timestamp < '2026-03-10 00:10:00'"
    ).rows

    kept = [
        line.partition("Granules: ")[2].split("/")
        for (line,) in lines
        if "Granules: " in line and "/" in line
    ]
    assert any(int(some) < int(every) for some, every in kept)
