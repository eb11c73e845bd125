"""Copies `rejected_events`, whose rows have no id: two rows are the same when all that they say is the same."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from otel_usage.clickhouse import ClickHouse, compress_blocks
from otel_usage.copying.sides import Sides, ask, patiently

_COLUMNS = ("timestamp", "reason", "event_id", "body")
_ROW = f"cityHash64({', '.join(_COLUMNS)})"
_ROWS_A_BATCH = 1000
"""A body may be long."""


class RejectedCount(NamedTuple):
    """What became of the rows of the source."""

    in_source: int
    copied: int


def copy_rejected(sides: Sides, *, is_dry_run: bool = False) -> RejectedCount:
    """Copy the rows that the target has not.

    Raises:
        OtelUsageError: ClickHouse did not take them for a minute.
    """
    source, target = (_days(client) for client in sides)
    copied = 0
    for day, (rows, digest) in source.items():
        if target.get(day) == (rows, digest):
            continue
        missing = sorted(_rows(sides.source, day) - _rows(sides.target, day))
        copied += len(missing)
        for start in range(0, 0 if is_dry_run else len(missing), _ROWS_A_BATCH):
            _send(sides, day, missing[start : start + _ROWS_A_BATCH])
    return RejectedCount(sum(rows for rows, _ in source.values()), copied)


def _days(client: ClickHouse) -> dict[date, tuple[int, int]]:
    rows = ask(
        client,
        f"SELECT day, count(), sum(row) FROM (SELECT DISTINCT toDate(timestamp) AS day, {_ROW} AS row "
        "FROM rejected_events) GROUP BY day ORDER BY day",
    )
    return {day: (count, digest) for day, count, digest in rows}


def _rows(client: ClickHouse, day: date) -> set[int]:
    rows = ask(
        client, f"SELECT DISTINCT {_ROW} FROM rejected_events WHERE toDate(timestamp) = toDate('{day}')"
    )
    return {row[0] for row in rows}


def _send(sides: Sides, day: date, rows: Sequence[int]) -> None:
    blocks = patiently(
        sides.source,
        lambda: sides.source.query_blocks(
            _COLUMNS,
            f"FROM rejected_events WHERE toDate(timestamp) = toDate('{day}') "
            f"AND {_ROW} IN ({', '.join(map(str, rows))}) LIMIT 1 BY {_ROW}",
        ),
    )
    block = compress_blocks(blocks)
    token = f"copy-{secrets.token_hex(16)}"
    patiently(
        sides.target, lambda: sides.target.insert_native("rejected_events", _COLUMNS, block, token=token)
    )
