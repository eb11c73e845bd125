"""Under gunicorn, beside Flask-Track-Usage 2.0.0: requests a second, and what visitors get when the storage fails."""

from __future__ import annotations

import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeAlias

from otel_usage.demo.processes import Child
from tests.benchmarks import old_package
from tests.benchmarks.measure import REPOSITORY, clean_environment, quantile, spread
from tests.benchmarks.old_shop import STORAGE_VARIABLE
from tests.benchmarks.servers import running_serve
from tests.benchmarks.table import Table

_BARE = "bare Flask"
_THREADS = (1, 4, 8)
_LISTENING_LINE = r"Listening at: http://127\.0\.0\.1:(\d+)"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_WARM_UP = 200
_FAILED_REQUESTS = 8
"""The old package waits for a lock until SQLite gives up, for each of them."""

Rates: TypeAlias = defaultdict[tuple[str, int], list[float]]
"""Requests a second, by app and number of client threads, a figure for each round."""


class Tally:
    """What requests were answered with, and after how many milliseconds."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._lock = threading.Lock()

    def add(self, milliseconds: float, status: int) -> None:
        with self._lock:
            self.milliseconds.append(milliseconds)
            self.statuses[status] += 1


def run(*, quick: bool = False) -> list[Table]:
    """Return requests a second by number of client threads, and the answers while the storage fails."""
    rounds, requests = (1, 800) if quick else (3, 1200)
    try:
        old_package.install()
        missing = ""
    except old_package.NotInstalled as error:
        missing = f"Flask-Track-Usage could not be installed: {error}"
    return [_throughput(rounds, requests, missing), _failures(missing)]


@contextmanager
def _gunicorn(app: str, environ: Mapping[str, str], *, launcher: bool = False) -> Iterator[int]:
    """Serve an app of `tests.benchmarks` with one worker of eight threads; gives its port."""
    programs = Path(sys.executable).parent
    command: list[str | Path] = [
        *([programs / "opentelemetry-instrument"] if launcher else []),
        *(programs / "gunicorn", "-c", "python:otel_usage.demo.gunicorn_config"),
        *("-k", "gthread", "--threads", "8", "-b", "127.0.0.1:0"),
        *("--pythonpath", str(REPOSITORY), f"tests.benchmarks.{app}"),
    ]
    with (
        tempfile.TemporaryDirectory() as directory,
        Child("gunicorn", command, log_path=Path(directory) / "log", env=environ) as child,
    ):
        yield int(child.wait_for_line(_LISTENING_LINE, timeout_seconds=60)[1])


@contextmanager
def _bare() -> Iterator[int]:
    with _gunicorn("shop:app", clean_environment()) as port:
        yield port


@contextmanager
def _ours(dsn: str) -> Iterator[int]:
    exporters = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
    environ = {**clean_environment(), "OTEL_SERVICE_NAME": "shop", **exporters, "OTEL_USAGE_DSN": dsn}
    with _gunicorn("shop:app", environ, launcher=True) as port:
        yield port


@contextmanager
def _old(database: Path) -> Iterator[int]:
    environ = {**old_package.environment(), STORAGE_VARIABLE: f"sqlite:///{database}"}
    with _gunicorn("old_shop:create_app()", environ) as port:
        yield port


def ask(port: int, requests: int, threads: int) -> Tally:
    """Send requests from some threads, each over a connection of its own."""
    tally = Tally()
    with ThreadPoolExecutor(threads) as clients:
        for sending in [clients.submit(_send, port, requests // threads, tally) for _ in range(threads)]:
            sending.result()
    return tally


def _send(port: int, requests: int, tally: Tally) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    for number in range(requests):
        start = time.perf_counter()
        connection.request("GET", f"/item/{number}", headers={"User-Agent": _AGENT})
        response = connection.getresponse()
        response.read()
        tally.add((time.perf_counter() - start) * 1000, response.status)
    connection.close()


def _throughput(rounds: int, requests: int, missing: str) -> Table:
    rates: Rates = defaultdict(list)
    statuses: Counter[int] = Counter()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory, running_serve() as server:
            servers = {_BARE: _bare(), "otel_usage, storing in `serve`": _ours(server.dsn)}
            if not missing:
                servers["FTU, SQLite on disk"] = _old(Path(directory) / "usage.db")
            for name, running in servers.items():
                with running as port:
                    ask(port, _WARM_UP, 4)
                    for threads in _THREADS:
                        start = time.perf_counter()
                        statuses += ask(port, requests, threads).statuses
                        rates[name, threads].append(requests / (time.perf_counter() - start))
    return Table(
        "Requests a second, beside Flask-Track-Usage",
        ("app", *(head for threads in _THREADS for head in (f"{threads} clients", "× bare", "spread"))),
        [(name, *_rate_cells(name, rates)) for name in dict.fromkeys(name for name, _ in rates)],
        [
            f"Medians of {rounds} rounds of {requests} requests, to gunicorn with one worker of 8 threads; clients and servers share the machine.",
            f"Answers: {_list(statuses)}.",
            *([missing] if missing else []),
        ],
    )


def _rate_cells(name: str, rates: Rates) -> Iterator[str]:
    for threads in _THREADS:
        rate = statistics.median(rates[name, threads])
        yield f"{rate:,.0f}/s"
        yield f"{rate / statistics.median(rates[_BARE, threads]):.2f}"
        yield spread(rates[name, threads])


def _failures(missing: str) -> Table:
    rows = []
    with running_serve() as server, _ours(server.dsn) as port:
        ask(port, _WARM_UP, 4)
        rows.append(_failure("otel_usage, storage well", port))
        os.kill(server.process.pid, signal.SIGSTOP)
        rows.append(_failure("otel_usage, ClickHouse hangs", port))
        server.process.kill()
        rows.append(_failure("otel_usage, ClickHouse killed", port))
        server.process.communicate()
    if not missing:
        rows += _failures_of_old()
    return Table(
        "Answers while the storage fails, beside Flask-Track-Usage",
        ("app", "answers", "p50 ms", "slowest ms"),
        rows,
        [
            f"{_FAILED_REQUESTS} requests from 4 clients, to gunicorn with one worker of 8 threads.",
            "`locked`: another connection holds SQLite's write lock; `gone`: the folder of its file was moved away.",
            *([missing] if missing else []),
        ],
    )


def _failures_of_old() -> list[Sequence[str]]:
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "data" / "usage.db"
        database.parent.mkdir()
        with _old(database) as port:
            ask(port, _WARM_UP, 4)
            rows.append(_failure("FTU, storage well", port))
            with locked(database):
                rows.append(_failure("FTU, SQLite locked", port))
            database.parent.rename(database.parent.with_name("moved"))
            rows.append(_failure("FTU, SQLite gone", port))
    return rows


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the write lock of a SQLite file, as a backup or another worker does."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def _failure(name: str, port: int) -> Sequence[str]:
    tally = ask(port, _FAILED_REQUESTS, 4)
    times = sorted(tally.milliseconds)
    return name, _list(tally.statuses), f"{quantile(times, 0.5):.1f}", f"{times[-1]:.1f}"


def _list(statuses: Counter[int]) -> str:
    return ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
