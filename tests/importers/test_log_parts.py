"""Parts of requests, each distinct one of which is worked out once."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_usage.importers.access_log import AccessLog, LogOptions
from otel_usage.importers.chunk import Chunk
from otel_usage.importers.log_parts import LogRows
from otel_usage.settings import Settings
from tests.importers.logs import combined, write_log


def chunks_of(log: Path) -> list[Chunk]:
    return list(AccessLog(str(log), LogOptions(Settings(), "shop")).chunks())


def columns_of(chunks: list[Chunk]) -> list[list[object]]:
    """Return the rows of all chunks, read only after the last one was made."""
    return [
        list(row)
        for rows in (chunk.rows for chunk in chunks)
        if isinstance(rows, LogRows)
        for row in zip(*rows.columns(range(len(rows.ids))), strict=True)
    ]


def test_what_is_forgotten_in_between_changes_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write_log(
        tmp_path / "access.log",
        [
            combined(f"/{number % 7}?utm_source=s{number % 3}", referrer=f"https://r{number % 5}.example/")
            for number in range(100)
        ],
    )
    monkeypatch.setattr("otel_usage.importers.access_log.CHUNK_SIZE", 10)
    expected = columns_of(chunks_of(log))

    monkeypatch.setattr("otel_usage.importers.log_parts._MAX_REMEMBERED", 2)
    chunks = chunks_of(log)

    assert len(chunks) == 10
    assert columns_of(chunks) == expected


def test_a_column_that_is_filled_late_is_empty_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_usage.importers.access_log.CHUNK_SIZE", 2)
    log = write_log(
        tmp_path / "access.log", [combined("/a"), combined("/a"), combined("/b?utm_source=x"), combined("/a")]
    )

    rows = columns_of(chunks_of(log))

    assert ["x" in row for row in rows] == [False, False, True, False]
    assert rows[0][3:] != rows[2][3:]
