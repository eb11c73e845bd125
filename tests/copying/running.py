"""Runs copies as a person does, and compares everything that both sides hold."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from otel_usage.cli import cli
from otel_usage.cli_failures import run
from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from otel_usage.schema.states import load_states
from tests.importers.importing import Ran, assert_each_event_once
from tests.privacy.traffic import all_views, build_traffic

TABLES_OF_EVENTS = ("events", "rejected_events")


def run_copy(source: str, target: str, *options: str) -> Ran:
    """Run `otel-usage copy` in this process."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = run(cli, ["copy", "--from", source, "--to", target, *options])
    return Ran(code, output.getvalue(), errors.getvalue())


def copy(source: ClickHouse, target: ClickHouse, *options: str) -> Ran:
    """Do the same with the databases of two clients."""
    return run_copy(source.dsn.masked, target.dsn.masked, *options)


def line_of(ran: Ran, table: str) -> list[int]:
    """Return the numbers of a table: in the source, copied, already there, in the target."""
    lines = [line.split() for line in ran.output.splitlines() if line.startswith(f"{table} ")]
    return [int(number) for number in lines[0][1:]]


def traffic(seed: int = 1, **options: Any) -> list[Event]:
    """Return events of every kind, of two services, on days of two months."""
    return [event for events in build_traffic(seed, **options).values() for event in events]


def every_byte(client: ClickHouse) -> dict[str, list[Any]]:
    """Return one number for each row of what is stored, made of all its columns: texts may be no UTF-8."""
    return {
        table: [row[0] for row in client.query(f"SELECT cityHash64(*) AS row FROM {table} ORDER BY row").rows]
        for table in TABLES_OF_EVENTS
    }


def every_state(client: ClickHouse) -> dict[str, list[str]]:
    """Return the results of all states."""
    return {
        table.name: sorted(map(repr, client.query(table.merged(table.name)).rows))
        for table in load_states(client)
    }


def assert_equal(source: ClickHouse, target: ClickHouse) -> None:
    """Both hold the same, in each table, state and view."""
    assert every_byte(target) == every_byte(source)
    assert every_state(target) == every_state(source)
    assert all_views(target) == all_views(source)


def assert_has_once(target: ClickHouse, events: Sequence[Event]) -> None:
    """The target holds these events and no others, each once, and its states are what they give."""
    ids = {row[0] for row in target.query("SELECT event_id FROM events").rows}
    assert ids == {(event.trace_id + event.span_id).hex() for event in events}
    assert_each_event_once(target)
