"""An export holds all rows of a person and none of others, as text that is safe to look at."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import OtelUsageError
from otel_usage.privacy import export_person, forget, open_private_file, parse_selector
from tests.builders import build_event, insert_events, key_of
from tests.privacy.traffic import build_traffic, insert_batches, reject

ANN = parse_selector(user="ann")


def exported(client: ClickHouse, table: str = "") -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in export_person(client, ANN)]
    return [row for row in rows if table in ("", row["table"])]


def test_an_export_holds_every_event_of_the_person_and_no_other(usage: ClickHouse) -> None:
    events = build_traffic(1)
    insert_batches(usage, [event for theirs in events.values() for event in theirs])

    found = [row["event_id"] for row in exported(usage, "events")]

    assert sorted(found) == sorted(event.id for event in events["ann"])
    visits = {event.attributes[names.VISIT_KEY] for event in events["ann"]}
    assert {row["visit_key"] for row in exported(usage, "visits")} == visits
    assert {row["visit_key"] for row in exported(usage, "funnel_stages")} <= visits


def test_ids_are_hex_and_times_have_nanoseconds(usage: ClickHouse) -> None:
    event = build_event(at="2026-03-10T12:00:00.123456789", visit="v", visitor="w", user_id="ann")
    insert_events(usage, [event])

    (row,) = exported(usage, "events")
    (visit,) = exported(usage, "visits")

    assert row["timestamp"] == visit["started"] == "2026-03-10T12:00:00.123456789Z"
    assert (row["visit_key"], row["visitor_id"]) == (key_of("v"), key_of("w"))
    assert (row["trace_id"], row["client_address"]) == (event.trace_id.hex(), "::ffff:192.0.2.1")
    assert not [name for name in row if name.endswith("_bytes")]


def test_hostile_text_is_escaped(usage: ClickHouse) -> None:
    hostile = '\x1b]0;owned\x07"\\\n\u202e\u00e9'
    insert_events(usage, [build_event(path=hostile, user_id="ann")])

    (line,) = (line for line in export_person(usage, ANN) if '"events"' in line)

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["path"] == hostile


def test_bytes_that_are_no_text_are_shown(usage: ClickHouse) -> None:
    usage.command(
        "INSERT INTO events (timestamp, event_name, service_name, user_id, path) "
        "SELECT now64(9), 'request', 'shop', 'ann', unhex('61FF62')"
    )

    assert exported(usage, "events")[0]["path"] == "a\ufffdb"


def test_rejected_events_and_addresses_are_exported(usage: ClickHouse) -> None:
    reject(usage, {names.CLIENT_ADDRESS: "192.0.2.1", names.PATH: "/x"})
    insert_events(usage, [build_event(), build_event(client_address="192.0.2.2")])

    lines = [json.loads(line) for line in export_person(usage, parse_selector(address="192.0.2.1"))]

    assert [row["table"] for row in lines] == ["events", "rejected_events", "ips_daily"]


def test_after_a_forget_nothing_is_exported(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(visit="v", user_id="ann")])
    forget(usage, ANN)

    assert exported(usage) == []


def test_a_long_export_comes_row_by_row(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(user_id="ann", path="/" + "x" * 2000) for _ in range(500)])

    assert len(exported(usage, "events")) == 500


def test_a_file_is_new_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "person.jsonl"

    with open_private_file(path) as file:
        file.write("x\n")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(OtelUsageError, match="file exists. Name a new file"), open_private_file(path):
        pass
    assert path.read_text() == "x\n"


def test_a_file_that_could_not_be_finished_goes(tmp_path: Path) -> None:
    path = tmp_path / "person.jsonl"

    with pytest.raises(OSError, match="full"), open_private_file(path):
        raise OSError("full")

    assert not path.exists()
