"""What a database says of the events in it, all of it, to be compared with another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import zip_longest
from typing import Any, TypeAlias

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import REPORTS, ReportParameters, run_report
from otel_usage.schema.states import load_states

Rows: TypeAlias = list[tuple[Any, ...]]

REJECTED = "(SELECT event_id, reason FROM rejected_events)"
"""What must be the same of events that are set aside: not when that was, and their body is as it came."""

NOT_OF_EVENTS = frozenset({"changes", "spans"})
"""Reports of the schema and of `otel_traces`, which only a Collector fills."""

_OTHER_COLUMNS = {
    "accounting": {"spans"},
    # When they were set aside, and the latest of them.
    "rejected": {"time", "first_seen", "last_seen", "event_id"},
}

_SINCE, _ALWAYS = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2149, 1, 1, tzinfo=timezone.utc)
_ONE_BUCKET = 2**31
_PARAMETERS = ReportParameters(_SINCE, datetime(2026, 5, 1, tzinfo=timezone.utc), limit=100_000)
_SET_ASIDE = ReportParameters(_SINCE, _ALWAYS, bucket_seconds=_ONE_BUCKET)


@dataclass(frozen=True)
class Stored:
    """Rows by table, view or report; each in an order that says nothing of how it was filled."""

    events: Rows
    rejected: Rows
    """Event id and reason."""
    states: dict[str, Rows]
    """Merged."""
    views: dict[str, Rows]
    reports: dict[str, Rows]


def read_stored(client: ClickHouse) -> Stored:
    """Return all that people can ask a database."""
    states = load_states(client)
    views = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"
    ).rows
    return Stored(
        read_rows(client, "events"),
        read_rows(client, REJECTED),
        {state.name: read_rows(client, f"({state.merged(state.name)})") for state in states},
        {view: read_rows(client, view) for (view,) in views},
        {name: _report(client, name) for name in REPORTS if name not in NOT_OF_EVENTS},
    )


def read_rows(client: ClickHouse, source: str) -> Rows:
    """Return all rows of a table, a view or a query in parentheses, sorted, with all columns."""
    return client.query(
        f"SELECT * FROM {source} ORDER BY ALL", settings={"asterisk_include_alias_columns": 1}
    ).rows


def difference(expected: Rows, found: Rows) -> Sequence[object]:
    """Return the first rows that are not the same."""
    return [pair for pair in zip_longest(expected, found) if pair[0] != pair[1]][:2]


def differences(expected: dict[str, Rows], found: dict[str, Rows]) -> dict[str, Sequence[object]]:
    """Return the first rows that are not the same, by name."""
    return {
        name: pairs
        for name in expected.keys() | found.keys()
        if (pairs := difference(expected.get(name, []), found.get(name, [])))
    }


def _report(client: ClickHouse, name: str) -> Rows:
    result = run_report(client, name, _SET_ASIDE if name == "rejected" else _PARAMETERS)
    kept = [
        number for number, column in enumerate(result.columns) if column not in _OTHER_COLUMNS.get(name, ())
    ]
    return [tuple(row[number] for number in kept) for row in result.rows]
