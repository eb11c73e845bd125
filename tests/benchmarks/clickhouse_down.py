"""What visitors feel when ClickHouse goes away: response times before and after `serve` is stopped and killed."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from otel_usage.demo.processes import Child
from tests.benchmarks.measure import REPOSITORY, clean_environment, quantile, spread
from tests.benchmarks.servers import running_serve
from tests.benchmarks.table import Table

_PHASES = ("without otel_usage", "ClickHouse up", "ClickHouse hangs", "ClickHouse killed")
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_LISTENING_LINE = r"Listening at: http://127\.0\.0\.1:(\d+)"


def run(*, quick: bool = False) -> list[Table]:
    """Return p50 and p99 per phase; every response must be the 200 that it would be without us."""
    rounds, requests = (2, 2000) if quick else (7, 5000)
    times: defaultdict[str, list[list[float]]] = defaultdict(list)
    statuses: Counter[int] = Counter()
    for _ in range(rounds):
        with _gunicorn({"OTEL_USAGE_DISABLED": "true"}) as port:
            times[_PHASES[0]].append(_ask(port, requests, statuses))
        with running_serve() as server, _gunicorn({"OTEL_USAGE_DSN": server.dsn}) as port:
            times[_PHASES[1]].append(_ask(port, requests, statuses))
            os.kill(server.process.pid, signal.SIGSTOP)
            times[_PHASES[2]].append(_ask(port, requests, statuses))
            server.process.kill()
            times[_PHASES[3]].append(_ask(port, requests, statuses))
            server.process.communicate()
    return [_table(times, statuses, rounds, requests)]


@contextmanager
def _gunicorn(settings: Mapping[str, str]) -> Iterator[int]:
    """Run the shop under the launcher, in one worker with keep-alive; gives its port."""
    programs = Path(sys.executable).parent
    command: list[str | Path] = [
        *(programs / "opentelemetry-instrument", programs / "gunicorn"),
        *("-c", "python:otel_usage.demo.gunicorn_config", "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:0"),
        *("--pythonpath", str(REPOSITORY), "tests.benchmarks.shop:app"),
    ]  # fmt: skip
    exporters = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
    environment = {**clean_environment(), "OTEL_SERVICE_NAME": "shop", **exporters, **settings}
    with (
        tempfile.TemporaryDirectory() as directory,
        Child("gunicorn", command, log_path=Path(directory) / "log", env=environment) as child,
    ):
        yield int(child.wait_for_line(_LISTENING_LINE, timeout_seconds=60)[1])


def _ask(port: int, requests: int, statuses: Counter[int]) -> list[float]:
    """Return the sorted milliseconds of requests sent one after the other over one connection."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    milliseconds = []
    for number in range(requests + 200):
        start = time.perf_counter()
        connection.request("GET", f"/item/{number}", headers={"User-Agent": _AGENT})
        response = connection.getresponse()
        response.read()
        if number >= 200:  # the first ones warm the worker up
            milliseconds.append((time.perf_counter() - start) * 1000)
            statuses[response.status] += 1
    connection.close()
    return sorted(milliseconds)


def _table(
    times: Mapping[str, Sequence[Sequence[float]]], statuses: Counter[int], rounds: int, requests: int
) -> Table:
    rows = []
    for phase in _PHASES:
        cells = [phase]
        for share in (0.5, 0.99):
            values = [quantile(of_round, share) for of_round in times[phase]]
            ups = [quantile(of_round, share) for of_round in times["ClickHouse up"]]
            ratio = statistics.median(value / up for value, up in zip(values, ups, strict=True))
            cells += [f"{statistics.median(values):.2f}", f"{ratio:.2f}", spread(values)]
        rows.append(cells)
    answers = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
    return Table(
        "Requests while ClickHouse is gone",
        ("phase", "p50 ms", "× up", "spread", "p99 ms", "× up", "spread"),
        rows,
        (
            f"Medians of {rounds} rounds of {requests} requests, one at a time, to gunicorn (1 worker, 4 threads) under `opentelemetry-instrument`.",
            "`hangs` stops the process of `serve`, so that connections open and nothing answers; `killed` refuses connections.",
            f"Answers: {answers}.",
        ),
    )
