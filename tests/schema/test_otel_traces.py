"""Events that come by a Collector and `otel_traces` give the same rows, states and views as those sent directly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.rows import COLUMNS
from otel_usage.schema import migrate
from otel_usage.schema.states import load_states
from tests.collector_rows import OLD_COLLECTOR, ROTEL, Dialect
from tests.databases import STATE_TABLES, new_database
from tests.landing import land_events
from tests.privacy.traffic import VIEWS
from tests.serving import ServeProcess
from tests.varied_events import varied_events

BATCH = 5_000
COLUMN_NAMES = ", ".join(column.name for column in COLUMNS)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return varied_events(10_000, seed=6)


@pytest.fixture(scope="module")
def direct(serve: ServeProcess, events: Sequence[Event]) -> Iterator[ClickHouse]:
    """A database that got the events from the exporter."""
    with new_database(serve) as client:
        migrate(client)
        exporter = ClickHouseSpanExporter(serve.dsn_of(client.dsn.database))
        for start in range(0, len(events), BATCH):
            exporter.send(exporter.freeze(events[start : start + BATCH], uuid4().hex))
        exporter.close()
        yield client


@pytest.fixture(scope="module")
def landed(serve: ServeProcess, events: Sequence[Event]) -> Iterator[ClickHouse]:
    """A database that got them as spans of a Collector."""
    with new_database(serve) as client:
        migrate(client)
        for start in range(0, len(events), BATCH):
            land_events(client, events[start : start + BATCH])
        yield client


def rows_of(client: ClickHouse, query: str) -> list[tuple[Any, ...]]:
    return sorted(client.query(query).rows, key=repr)


def events_by_id(client: ClickHouse, where: str = "1") -> list[tuple[Any, ...]]:
    return client.query(
        f"SELECT {COLUMN_NAMES} FROM events WHERE {where} ORDER BY trace_id_bytes, span_id_bytes"
    ).rows


def test_every_column_of_every_event_is_the_same(direct: ClickHouse, landed: ClickHouse) -> None:
    sent, by_collector = events_by_id(direct), events_by_id(landed)

    assert len(by_collector) == len(sent) > 9_000
    for position, column in enumerate(COLUMNS):
        differing = [
            (one[position], other[position])
            for one, other in zip(sent, by_collector, strict=True)
            if one[position] != other[position]
        ]
        assert differing == [], column.name


@pytest.mark.parametrize("table", STATE_TABLES)
def test_the_merged_states_are_the_same(direct: ClickHouse, landed: ClickHouse, table: str) -> None:
    states = {state.name: state for state in load_states(direct)}
    merged = states[table].merged(table)

    assert rows_of(landed, merged) == rows_of(direct, merged) != []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_the_same_rows(direct: ClickHouse, landed: ClickHouse, view: str) -> None:
    query = f"SELECT * FROM {view}"

    assert rows_of(landed, query) == rows_of(direct, query) != []


def test_the_views_of_the_landing_table_are_no_states_of_events(landed: ClickHouse) -> None:
    assert sorted(state.name for state in load_states(landed)) == sorted(STATE_TABLES)


def test_the_same_events_are_set_aside_for_the_same_reasons(direct: ClickHouse, landed: ClickHouse) -> None:
    query = "SELECT event_id, reason FROM rejected_events"

    assert rows_of(landed, query) == rows_of(direct, query)
    assert len(landed.query("SELECT DISTINCT reason FROM rejected_events").rows) > 4


def test_what_was_set_aside_says_what_it_was(landed: ClickHouse) -> None:
    rows = landed.query(
        "SELECT countIf(JSONHas(body, 'usage.event.id')), countIf(abs(dateDiff('hour', timestamp, now())) < 1), count() "
        "FROM rejected_events"
    ).rows

    assert rows[0][0] == rows[0][1] == rows[0][2] > 0


@pytest.mark.parametrize(
    "dialect", [pytest.param(OLD_COLLECTOR, id="old Collector"), pytest.param(ROTEL, id="rotel")]
)
def test_other_exporters_spell_values_in_their_own_way_and_store_the_same(
    direct: ClickHouse, usage: ClickHouse, events: Sequence[Event], dialect: Dialect
) -> None:
    land_events(usage, events[:1_000], dialect)

    highest = events[999].trace_id.hex()
    assert events_by_id(usage) == events_by_id(direct, f"trace_id <= '{highest}'")
