"""Starts an app server under `opentelemetry-instrument`, sends it real requests, and tells it to end."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.serving import wait_for

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LAUNCHER = str(BIN / "opentelemetry-instrument")
_FOREIGN_SETTINGS = ("OTEL_", "FLASK_", "DJANGO_", "GUNICORN_", "_OTEL_USAGE_")
SENDERS = 4
PATIENT = ("-c", "python:tests.visits.patient_workers")
"""Options of gunicorn whose workers wait for each other's files, however busy the machine is."""


@dataclass(frozen=True)
class Launched:
    """A running app server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"User-Agent": "Mozilla/5.0 Firefox/127.0"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def send(
        self, count: int, each: Callable[[int], None] = lambda number: None, path: str = "/item/{}"
    ) -> list[tuple[int, bytes]]:
        """Send requests from a few threads, and return their answers; `each` is told the number of each request."""

        def one(number: int) -> tuple[int, bytes]:
            each(number)
            return self.get(path.format(number))

        with ThreadPoolExecutor(SENDERS) as senders:
            return list(senders.map(one, range(count)))

    def send_until_two_workers_answer(self, count: int) -> int:
        """Send so many requests, and more while one worker answers all of them; return how many were sent.

        The app's answer is its process: the first worker may be there long before the others are.
        """
        answers = self.send(count)

        def have_two_answered() -> bool:
            if len({pid for _, pid in answers}) < 2:
                answers.extend(self.send(SENDERS))
            return len({pid for _, pid in answers}) > 1

        wait_for(have_two_answered, "an answer of a second worker")
        return len(answers)

    def terminate(self) -> int:
        """Tell it to end, at once, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def launched(
    command: Sequence[str], environ: dict[str, str], log: Path, *, launcher: bool = True
) -> Iterator[Launched]:
    """Run an app server in a process group of its own until the block ends.

    Args:
        command: program of the virtual environment and its arguments; `{port}` stands for the port.
        environ: variables beyond those of the tests, from which foreign settings are taken out.
        log: file for all that it prints.
        launcher: start it by `opentelemetry-instrument`.
    """
    port = free_port()
    arguments = [part.format(port=port) for part in command]
    clean = {name: text for name, text in os.environ.items() if not name.startswith(_FOREIGN_SETTINGS)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*([LAUNCHER] if launcher else []), str(BIN / arguments[0]), *arguments[1:]],
            stdout=output,
            stderr=output,
            env={**clean, "PYTHONPATH": str(ROOT), **environ},
            cwd=log.parent,
            start_new_session=True,
        )
    server = Launched(process, port, log)
    try:
        wait_for(lambda: _is_up(server), f"the start of {arguments[0]}", 60)
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def _is_up(server: Launched) -> bool:
    if server.process.poll() is not None:
        raise AssertionError(f"the server has ended: {server.log.read_text()}")
    try:
        # Asked for on the socket alone: an HTTP request would be one more event.
        socket.create_connection(("127.0.0.1", server.port), 1).close()
    except OSError:
        return False
    return True
