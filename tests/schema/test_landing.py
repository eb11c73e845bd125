"""`migrate --otel-traces`: whether the spans that a Collector stores are kept."""

from __future__ import annotations

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import ClickHouseError, SchemaError
from otel_usage.schema import applied, load_migrations, migrate
from otel_usage.schema.landing import landing_in_force
from otel_usage.schema.retention import SPANS, retention_days_in_force
from tests.builders import build_event
from tests.landing import land_events


def stored(client: ClickHouse) -> tuple[int, int, int]:
    """Return how many spans, events and counted requests there are."""
    spans, events, requests = (
        client.query(f"SELECT {what} FROM {table}").rows[0][0]
        for table, what in (("otel_traces", "count()"), ("events", "count()"), ("ips_daily", "sum(requests)"))
    )
    return spans, events, requests


def test_spans_are_kept_unless_somebody_says_otherwise(database: ClickHouse) -> None:
    report = migrate(database)
    land_events(database, [build_event()])

    assert report.lines()[-1] == "spans of a Collector are kept for ever"
    assert stored(database) == (1, 1, 1)


@pytest.mark.parametrize("last", ["create_otel_traces", "create_otel_traces_events_mv"])
def test_spans_that_come_before_the_views_are_refused_and_count_when_they_come_again(
    database: ClickHouse, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    names = [migration.name for migration in load_migrations()]
    killed_after = load_migrations()[: names.index(last) + 1]
    with monkeypatch.context() as patch:
        patch.setattr(applied, "load_migrations", lambda: killed_after)
        migrate(database)
    waiting = [build_event()]
    with pytest.raises(ClickHouseError, match="views_come_first"):
        land_events(database, waiting)

    migrate(database)
    land_events(database, waiting)

    assert stored(database) == (1, 1, 1)


def test_a_null_table_keeps_no_spans_and_all_events(database: ClickHouse) -> None:
    report = migrate(database, otel_traces="null")
    land_events(database, [build_event(), build_event()])

    assert report.lines()[-1] == "spans of a Collector are not kept; what they say of usage is in events"
    assert stored(database) == (0, 2, 2)


def test_the_form_stays_when_nothing_is_said(database: ClickHouse) -> None:
    migrate(database, otel_traces="null")

    migrate(database)

    assert landing_in_force(database) == "null"


def test_spans_that_are_there_are_not_thrown_away(database: ClickHouse) -> None:
    migrate(database)
    land_events(database, [build_event()])

    with pytest.raises(SchemaError, match=r"^otel_traces has 1 spans, .* run: TRUNCATE TABLE otel_traces, "):
        migrate(database, otel_traces="null")

    assert stored(database) == (1, 1, 1)


def test_it_may_be_changed_there_and_back(database: ClickHouse) -> None:
    migrate(database)
    made = database.query("SHOW CREATE TABLE otel_traces").rows
    migrate(database, otel_traces="null")
    land_events(database, [build_event()])

    migrate(database, otel_traces="mergetree")
    land_events(database, [build_event()])

    assert stored(database) == (1, 2, 2)
    assert database.query("SHOW CREATE TABLE otel_traces").rows == made


def test_a_change_that_was_killed_half_way_is_done_again(database: ClickHouse) -> None:
    migrate(database)
    database.command("CREATE TABLE otel_traces_next (left_behind UInt8) ENGINE = Null")

    migrate(database, otel_traces="null")

    assert landing_in_force(database) == "null"
    tables = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE '%next%'"
    assert database.query(tables).rows == []


def test_spans_are_deleted_after_the_days_that_are_set(database: ClickHouse) -> None:
    report = migrate(database, traces_retention_days=14)

    assert report.lines()[-1] == "spans of a Collector are deleted after 14 days, from now on"
    assert retention_days_in_force(database, SPANS.table) == 14
    assert retention_days_in_force(database) is None


def test_a_table_that_keeps_nothing_needs_no_days(database: ClickHouse) -> None:
    migrate(database, otel_traces="null", traces_retention_days=14)
    migrate(database, otel_traces="mergetree", traces_retention_days=14)

    assert retention_days_in_force(database, SPANS.table) == 14
