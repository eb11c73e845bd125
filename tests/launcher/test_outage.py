"""The database is killed in the middle of traffic: no visitor notices, and nothing is lost or counted twice."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.demo.http_session import CookieJar
from otel_usage.errors import ClickHouseError
from tests.launcher.sites import GUNICORN, Site, counts, free_port, running_site, stored_paths
from tests.serving import ServeProcess, start_serve, wait_for

REQUESTS = 300
WORKERS = 2


class Database:
    """A server that comes back with its data and on its ports."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # The later options win over the free ports of `start_serve`.
        self._ports = ("--http-port", str(free_port()), "--otlp-port", str(free_port()))
        self.server = self._start()

    def _start(self) -> ServeProcess:
        return start_serve(self._directory, *self._ports)

    def kill(self) -> None:
        with self.server.process as process:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def start_again(self) -> None:
        self.server = self._start()


@contextmanager
def running_database(directory: Path) -> Iterator[Database]:
    database = Database(directory)
    try:
        yield database
    finally:
        database.server.stop()


def send(site: Site, paths: list[str]) -> list[int]:
    jar = CookieJar()
    return [site.get(path, jar) for path in paths]


def all_stored(client: ClickHouse) -> bool:
    try:
        return counts(client)[0] >= REQUESTS
    except ClickHouseError:
        return False


def test_a_killed_database_costs_no_answer_and_no_event(tmp_path: Path) -> None:
    good = [f"/item/{number}" for number in range(REQUESTS - 50)]
    missing = [f"/missing/{number}" for number in range(50)]
    paths = [*good[:150], *missing, *good[150:]]
    with running_database(tmp_path / "data") as database:
        settings = {
            "OTEL_USAGE_DSN": database.server.dsn,
            "OTEL_USAGE_FLUSH_INTERVAL_SECONDS": "0.05",
            "OTEL_USAGE_BATCH_SIZE": "10",
        }
        command = (*GUNICORN, "-w", str(WORKERS))
        with running_site(command, tmp_path / "log", settings) as site, ThreadPoolExecutor(1) as visitor:
            before = send(site, paths[:100])
            during = visitor.submit(send, site, paths[100:250])
            database.kill()
            statuses = [*before, *during.result(), *send(site, paths[250:])]
            database.start_again()
            client = connect(database.server.dsn)
            wait_for(lambda: all_stored(client), "the storing of every event")
            site.stop()  # which sends what waits: a second copy would show now
        stored, numbers = stored_paths(client), counts(client)
        client.close()

    assert Counter(statuses) == {200: len(good), 404: len(missing)}
    assert stored == sorted(paths)
    assert numbers == (REQUESTS, REQUESTS, REQUESTS)
