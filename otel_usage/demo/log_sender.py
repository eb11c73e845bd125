"""Sends the requests of an access log, in order per address, holding only a few of them at a time."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from otel_usage.demo.access_log import LoggedRequest
from otel_usage.demo.http_session import Connection
from otel_usage.demo.sender import CLIENTS, SendReport

_WAITING_PER_CLIENT = 64
_LOOK_UP_SECONDS = 0.5


@dataclass(slots=True)
class LogReport(SendReport):
    """What was sent of a log, counted as it must be stored."""

    requests_by_address: Counter[str] = field(default_factory=Counter)
    requests_by_method: Counter[str] = field(default_factory=Counter)
    requests_by_status: Counter[int] = field(default_factory=Counter)
    """By the status that came back, which is the shop's and not the log's."""


class LogSender:
    """Sends logged requests to the shop as a trusted proxy would, each client in a line of its own."""

    def __init__(
        self, host: str, port: int, *, on_progress: Callable[[int], None] = lambda sent: None
    ) -> None:
        """Prepare for a shop.

        Args:
            host: address that the shop listens on.
            port: its port.
            on_progress: called with 1 after each request, from several threads but one at a time.
        """
        self._host, self._port = host, port
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._report = LogReport()

    def send(self, requests: Iterable[LoggedRequest]) -> LogReport:
        """Send everything and return what became of it. An interrupt ends it between two requests."""
        lines: list[queue.Queue[LoggedRequest | None]] = [
            queue.Queue(_WAITING_PER_CLIENT) for _ in range(CLIENTS)
        ]
        threads = [threading.Thread(target=self._send_line, args=(line,), daemon=True) for line in lines]
        for thread in threads:
            thread.start()
        try:
            for request in requests:
                lines[hash(request.client) % CLIENTS].put(request)
            for line in lines:
                line.put(None)
            for thread in threads:
                thread.join()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        return self._report

    def _send_line(self, line: queue.Queue[LoggedRequest | None]) -> None:
        connection = Connection(self._host, self._port)
        try:
            while not self._stop.is_set():
                try:
                    request = line.get(timeout=_LOOK_UP_SECONDS)
                except queue.Empty:
                    continue
                if request is None:
                    return
                self._send_request(connection, request)
        finally:
            connection.close()

    def _send_request(self, connection: Connection, request: LoggedRequest) -> None:
        headers = {"X-Forwarded-For": request.client}
        if request.user_agent:
            headers["User-Agent"] = request.user_agent
        if request.referrer:
            headers["Referer"] = request.referrer
        problem, status = "", 0
        try:
            status = connection.request(request.method, request.target, headers).status
        except (
            Exception
        ) as error:  # whatever it is: a line that stands still would stop the reading of the file
            problem = f"a {request.method} request: no answer ({type(error).__name__}: {error})"
        with self._lock:
            if problem:
                self._report.note_failure(problem)
            else:
                self._report.sent += 1
                self._report.requests_by_address[request.address] += 1
                self._report.requests_by_method[request.method] += 1
                self._report.requests_by_status[status] += 1
            self._on_progress(1)
