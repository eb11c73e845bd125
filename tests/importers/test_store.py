"""What an import does about batches of other imports that were never acknowledged."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.errors import OtelUsageError
from otel_usage.importers.event_rows import rows_of
from otel_usage.importers.journal import Journal
from otel_usage.importers.store import EventStore
from tests.builders import build_event
from tests.importers.importing import assert_each_event_once, count, run_import
from tests.importers.logs import many, write_log
from tests.serving import start_serve


def forget_the_end(client: ClickHouse) -> None:
    """Leave the imports as if each had been killed after its last insert."""
    client.command("ALTER TABLE imports DELETE WHERE is_stored = 1", settings={"mutations_sync": 2})


def test_a_batch_of_another_import_is_left_to_it(usage: ClickHouse, tmp_path: Path) -> None:
    run_import(usage, "access-log", write_log(tmp_path / "one.log", many(10)))
    forget_the_end(usage)

    ran = run_import(usage, "access-log", write_log(tmp_path / "other.log", many(10, first=1000)))

    assert ran.errors == (
        "otel-usage: A batch of 11 events of another import was sent and is not known to be stored. If that import was "
        "killed, run it again\n"
    )
    assert len(Journal(usage).unfinished()) == 1


def test_the_states_of_an_import_that_died_long_ago_are_made_anew(usage: ClickHouse, tmp_path: Path) -> None:
    run_import(usage, "access-log", write_log(tmp_path / "one.log", many(10)))
    usage.command("TRUNCATE TABLE ips_daily_state")
    forget_the_end(usage)
    usage.command(
        "ALTER TABLE imports UPDATE at = at - INTERVAL 1 HOUR WHERE 1", settings={"mutations_sync": 2}
    )

    ran = run_import(usage, "access-log", write_log(tmp_path / "other.log", many(10, first=100_000)))

    assert (
        ran.errors
        == "otel-usage: The states of 2026-03-10 were made anew, because an import was killed there\n"
    )
    assert Journal(usage).unfinished() == {}
    assert_each_event_once(usage)


def test_an_event_that_is_given_twice_at_once_is_stored_once(usage: ClickHouse) -> None:
    event = build_event()

    outcome = EventStore(usage).store(rows_of([event, event], "shop"))

    assert (outcome.stored, count(usage)) == (1, 1)


def test_a_batch_over_the_end_of_a_month_is_stored_whole(usage: ClickHouse) -> None:
    events = [build_event(at=f"2026-{month:02}-01T00:00:00") for month in (1, 2, 1, 3)]

    outcome = EventStore(usage).store(rows_of(events, "shop"))

    assert (outcome.stored, count(usage)) == (4, 4)
    assert usage.query("SELECT count() FROM imports FINAL").rows == [(3,)]
    assert_each_event_once(usage)


def test_a_server_that_stays_away_is_given_up_with_what_to_do(tmp_path: Path) -> None:
    server = start_serve(tmp_path / "data")
    client = connect(server.dsn)
    store = EventStore(client, patience_seconds=0.1)
    server.stop()

    with pytest.raises(OtelUsageError, match="run the same command again, and it goes on from there"):
        store.store(rows_of([build_event()], "shop"))

    client.close()


def test_a_file_that_is_missing_is_named_after_those_that_were_taken(
    usage: ClickHouse, tmp_path: Path
) -> None:
    log = write_log(tmp_path / "access.log", many(10))

    ran = run_import(usage, "access-log", log, tmp_path / "missing.log")

    assert ran.code == 1
    assert ran.errors.startswith(
        f"otel-usage: Cannot use '{tmp_path}/missing.log': no such file or directory."
    )
    assert count(usage) == 11
