"""`otel-usage import access-log`: lines per second from the file to `events` and every view, against the same rows prebuilt."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from otel_usage.clickhouse import ClickHouse
from otel_usage.importers.access_log import AccessLog, LogOptions
from otel_usage.importers.chunk import Tally
from otel_usage.importers.event_rows import Encoded
from otel_usage.importers.run import Import
from otel_usage.importers.store import EventStore
from otel_usage.settings import Settings
from tests.benchmarks.measure import spread
from tests.benchmarks.servers import connection, running_serve
from tests.benchmarks.table import Table

_AGENTS = [
    f"Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
    for version in range(60, 140)
] + [
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for version in range(60, 140)
]


def run(*, quick: bool = False) -> list[Table]:
    """Return the rates of an import, of the same import again, and of its rows as prebuilt blocks."""
    rounds, lines = (2, 100_000) if quick else (5, 300_000)
    first, again, prebuilt = [], [], []
    with (
        running_serve() as server,
        connection(server.dsn) as client,
        tempfile.TemporaryDirectory() as directory,
    ):
        for number in range(rounds):
            log = _write_log(Path(directory) / f"{number}.log", lines, number)
            first.append(_import(client, log, lines, stored=lines))
            again.append(_import(client, log, lines, stored=0))
            prebuilt.append(_prebuilt(client, _blocks(log), lines))
    return [_table(lines, rounds, first, again, prebuilt)]


def _write_log(path: Path, lines: int, seed: int) -> Path:
    """Write a log in combined format: ten requests a second of some thousand addresses for some hundred pages."""
    chosen = random.Random(seed)
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(days=3 * seed)
    addresses = [f"198.51.{chosen.randrange(256)}.{chosen.randrange(256)}" for _ in range(5000)]
    with path.open("w", encoding="ascii") as file:
        for number in range(lines):
            at = begin + timedelta(seconds=number // 10)
            page = int(chosen.random() ** 3 * 500)
            file.write(
                f"{chosen.choice(addresses)} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "
                f'"GET /products/{page}?page={chosen.randrange(9)} HTTP/1.1" {chosen.choice((200, 200, 200, 304, 404))} '
                f'{chosen.randrange(200_000)} "https://shop.example/products/{int(chosen.random() * 500)}" '
                f'"{chosen.choice(_AGENTS)}"\n'
            )
    return path


def _log(path: Path) -> AccessLog:
    return AccessLog(str(path), LogOptions(Settings(), "shop"))


class _Measured(NamedTuple):
    """One round of one way."""

    rate: float
    """Lines per second."""
    cpu_us: float
    """What this process, without the server, worked for each line."""


def _measured(lines: int, work: Callable[[], None]) -> _Measured:
    start, cpu_start = time.perf_counter(), time.process_time()
    work()
    return _Measured(lines / (time.perf_counter() - start), (time.process_time() - cpu_start) / lines * 1e6)


def _import(client: ClickHouse, log: Path, lines: int, *, stored: int) -> _Measured:
    tally = Tally(log.name, "lines")
    measured = _measured(lines, lambda: Import(EventStore(client)).run(_log(log).chunks(), tally))
    if (tally.read, tally.stored) != (lines, stored):
        raise RuntimeError(f"{tally.stored} of {tally.read} lines were stored, expected {stored} of {lines}")
    return measured


def _blocks(log: Path) -> list[Encoded]:
    return [chunk.rows.encoded(range(len(chunk.rows.ids))) for chunk in _log(log).chunks()]


def _prebuilt(client: ClickHouse, blocks: Sequence[Encoded], lines: int) -> _Measured:
    def insert() -> None:
        for block in blocks:
            client.insert_native("events", block.names, block.block, token=uuid.uuid4().hex)

    return _measured(lines, insert)


def _table(
    lines: int,
    rounds: int,
    first: Sequence[_Measured],
    again: Sequence[_Measured],
    prebuilt: Sequence[_Measured],
) -> Table:
    def row(name: str, measured: Sequence[_Measured]) -> tuple[str, ...]:
        rates = [one.rate for one in measured]
        ratios = [one.rate / other.rate for one, other in zip(measured, prebuilt, strict=True)]
        cpu_us = statistics.median(one.cpu_us for one in measured)
        return (
            name,
            f"{statistics.median(rates):,.0f}",
            f"{statistics.median(ratios):.0%}",
            spread(rates),
            f"{cpu_us:.1f}",
        )

    return Table(
        "Import of an access log",
        ("way", "lines/s", "ratio", "spread", "CPU of the client, µs per line"),
        (
            row("import access-log, combined", first),
            row("the same log again", again),
            row("the same rows as prebuilt Native blocks", prebuilt),
        ),
        (
            f"Medians of {rounds} rounds of {lines:,} lines in one process, over HTTP to one `otel-usage serve`, all views.",
            "Again: every line is read and looked up, and nothing is stored. Client and server share two cores.",
        ),
    )
