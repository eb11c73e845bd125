"""`migrate`: on nothing, on its own result, from any version to the next, twice at once, and when it must refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.errors import SchemaError
from otel_usage.model import Event
from otel_usage.pipeline.rows import COLUMNS, to_columns
from otel_usage.schema import Migration, applied, deduplicates, load_migrations, migrate, pending
from otel_usage.schema.retention import retention_days_in_force
from tests.builders import build_event, insert_events
from tests.serving import ServeProcess

PUBLIC_NAMES = {
    "events",
    "browsers_daily",
    "ips_daily",
    "pages_daily",
    "objects_daily",
    "counters_daily",
    "visits",
    "funnel_stages",
    "conversions_daily",
    "rejected_events",
    "summaries_hourly",
    "summaries_daily",
    "summaries_monthly",
}


def tables_of(client: ClickHouse) -> dict[str, str]:
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    ).rows
    return dict(rows)


def only(monkeypatch: pytest.MonkeyPatch, migrations: Sequence[Migration]) -> None:
    monkeypatch.setattr(applied, "load_migrations", lambda: tuple(migrations))


def insert_into_old(client: ClickHouse, events: Sequence[Event]) -> None:
    """Insert the events into a table that may lack columns of today."""
    rows = client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events'"
    ).rows
    there = {name for (name,) in rows}
    kept = [place for place, column in enumerate(COLUMNS) if column.name in there]
    values = to_columns(events)
    client.insert(
        "events",
        [COLUMNS[place].name for place in kept],
        [COLUMNS[place].type for place in kept],
        [values[place] for place in kept],
        token=uuid4().hex,
    )


def test_an_empty_database_gets_every_table_and_view(database: ClickHouse) -> None:
    report = migrate(database)

    assert report.applied == load_migrations()
    assert tables_of(database).keys() >= PUBLIC_NAMES


def test_a_migrated_database_is_left_as_it_is(database: ClickHouse) -> None:
    migrate(database)
    before = tables_of(database)

    report = migrate(database)

    assert report.applied == ()
    assert tables_of(database) == before


def test_nothing_is_pending_after_migrating(database: ClickHouse) -> None:
    before = pending(database)
    migrate(database)

    assert (before, pending(database)) == (load_migrations(), ())


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(2, id="tables without views"),
        pytest.param(3, id="a state without its view"),
        pytest.param(19, id="visits half made"),
        pytest.param(len(load_migrations()) - 1, id="all but the last"),
    ],
)
def test_an_older_database_is_brought_up_to_date_with_its_events(
    database: ClickHouse, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    with monkeypatch.context() as older:
        only(older, load_migrations()[:version])
        migrate(database)
    insert_into_old(database, [build_event(visit="old")])

    report = migrate(database)

    assert report.applied == load_migrations()[version:]
    insert_events(database, [build_event(visit="new")])
    assert database.query("SELECT count() FROM events").rows == [(2,)]
    assert database.query("SELECT count() FROM visits").rows == [(2,)]
    assert database.query("SELECT sum(hits) FROM flask_usage_server_daily").rows == [(2,)]


def test_a_run_that_broke_off_is_taken_up_again(database: ClickHouse) -> None:
    # The table was made, and the process died before it could write that down.
    database.command(load_migrations()[0].sql)

    report = migrate(database)

    assert report.applied == load_migrations()


def test_two_runs_at_once_end_in_one_schema(database: ClickHouse, serve: ServeProcess) -> None:
    def run(_: int) -> None:
        client = connect(serve.dsn_of(database.dsn.database))
        try:
            migrate(client)
        finally:
            client.close()

    with ThreadPoolExecutor(3) as runs:
        list(runs.map(run, range(3)))

    applied = database.query("SELECT count(), uniqExact(version) FROM schema_migrations FINAL").rows
    assert applied == [(len(load_migrations()) + 1,) * 2]
    assert not [name for name in tables_of(database) if "probe" in name]


def test_an_edited_migration_is_refused(database: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(database)
    first = load_migrations()[0]
    only(monkeypatch, (Migration(1, first.name, first.sql + ", b UInt8"), *load_migrations()[1:]))

    with pytest.raises(SchemaError) as raised:
        migrate(database)

    assert str(raised.value) == (
        f"Migration 0001_create_events is not the one that was applied to '{database.dsn.database}'. An applied "
        "migration is never edited: restore the file, or migrate into a new database"
    )


def test_a_database_that_is_newer_than_the_code_is_refused(
    database: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(database)
    older = load_migrations()[:3]
    only(monkeypatch, older)

    with pytest.raises(SchemaError) as raised:
        migrate(database)

    assert str(raised.value) == (
        f"The database '{database.dsn.database}' has migration {load_migrations()[-1].version:04}, but this version of "
        f"otel_usage ends with {older[-1]}. Install the version that made the database, or a later one"
    )


def test_a_dry_run_prints_the_statements_and_changes_nothing(database: ClickHouse) -> None:
    report = migrate(database, dry_run=True)

    assert [line.splitlines()[0] for line in report.lines()] == [f"-- {name}" for name in load_migrations()]
    assert tables_of(database) == {}


def test_a_dry_run_on_a_migrated_database_has_nothing_to_do(database: ClickHouse) -> None:
    migrate(database)

    assert migrate(database, dry_run=True).lines() == ["-- Nothing to do: the schema is up to date"]


class ForgetfulServer(ClickHouse):
    """A server whose account has deduplication switched off."""

    def __init__(self, client: ClickHouse) -> None:
        super().__init__(client._client, client.dsn)

    def insert(
        self,
        table: str,
        column_names: Sequence[str],
        column_types: Sequence[str],
        columns: Sequence[Sequence[Any]],
        token: str,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        settings = {**(settings or {}), "deduplicate_insert": "disable"}
        super().insert(table, column_names, column_types, columns, token, settings)


def test_a_server_that_counts_a_batch_twice_is_refused(database: ClickHouse) -> None:
    with pytest.raises(SchemaError) as raised:
        migrate(ForgetfulServer(database))

    assert str(raised.value) == (
        "This server does not count batches exactly once: of two batches, one of them sent twice, it has 3 in a "
        "table and 3 in its view. otel_usage needs ClickHouse 24.8 or later, and an account whose profile does not "
        "switch insert deduplication off"
    )
    assert not [name for name in tables_of(database) if "probe" in name]


def test_the_result_of_the_probe_is_written_down(database: ClickHouse) -> None:
    migrate(database)

    assert deduplicates(database)


def test_events_are_kept_until_a_retention_is_set(database: ClickHouse) -> None:
    report = migrate(database)

    assert report.retention == "events are kept for ever"
    assert retention_days_in_force(database) is None


def test_a_retention_is_set_changed_and_left_alone_when_it_is_unset(database: ClickHouse) -> None:
    texts = [migrate(database, retention_days=days).retention for days in (30, 30, 90, None)]

    assert texts == [
        "events are deleted after 30 days, from now on",
        "events are deleted after 30 days",
        "events are deleted after 90 days, from now on",
        "events are deleted after 90 days, as set before; OTEL_USAGE_RETENTION_DAYS is unset now",
    ]
    assert retention_days_in_force(database) == 90


def test_expired_events_are_deleted_and_their_counts_stay(database: ClickHouse) -> None:
    migrate(database, retention_days=30)
    insert_events(database, [build_event(at="2020-01-01T00:00:00"), build_event(at="2100-01-01T00:00:00")])

    database.command("OPTIMIZE TABLE events FINAL")

    assert database.query("SELECT count() FROM events").rows == [(1,)]
    assert database.query("SELECT sum(requests) FROM browsers_daily").rows == [(2,)]
