"""Runs imports as a person does, and looks whether tables and views agree afterwards."""

from __future__ import annotations

import contextlib
import io
from typing import Any, NamedTuple

from otel_usage.cli import cli
from otel_usage.cli_failures import run
from otel_usage.clickhouse import ClickHouse
from otel_usage.schema.states import load_states

SERVICE = "shop"


class Ran(NamedTuple):
    """What a command did."""

    code: int
    output: str
    errors: str


def run_import(client: ClickHouse, *arguments: object, service: str = SERVICE) -> Ran:
    """Run `otel-usage import …` in this process, into the database of a client."""
    output, errors = io.StringIO(), io.StringIO()
    words = ["import", *map(str, arguments), "--dsn", client.dsn.masked, "--service", service]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = run(cli, words)
    return Ran(code, output.getvalue(), errors.getvalue())


def count(client: ClickHouse, where: str = "1") -> int:
    return int(client.query(f"SELECT count() FROM events WHERE {where}").rows[0][0])


def rows(client: ClickHouse, columns: str, where: str = "1") -> list[tuple[Any, ...]]:
    return client.query(f"SELECT {columns} FROM events WHERE {where} ORDER BY timestamp, event_id").rows


def assert_each_event_once(client: ClickHouse) -> None:
    """No event is there twice, and every view holds what its query gives for the events."""
    assert client.query("SELECT count() - uniqExact(event_id) FROM events").rows == [(0,)]
    for table in load_states(client):
        stored, expected = (
            sorted(map(repr, client.query(query).rows))
            for query in (
                table.merged(table.name),
                table.merged(f"({table.of_events('(SELECT * FROM events)')})"),
            )
        )
        assert stored == expected, table.name
