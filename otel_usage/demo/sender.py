"""Sends the planned visitors over HTTP: several at a time, each one's requests strictly in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException

from otel_usage.demo.http_session import Connection, CookieJar
from otel_usage.demo.visitors import FOLLOW, PlannedRequest, Visitor

CLIENTS = 6
"""Visitors at a time. More than the workers of the shop, so that these always have something to do."""
_MAX_PROBLEMS_KEPT = 20


@dataclass(slots=True)
class SendReport:
    """What became of the requests."""

    sent: int = 0
    """Requests that were answered."""
    failed: int = 0
    """Requests without an answer, or with another status than planned."""
    problems: list[str] = field(default_factory=list)
    """The first failures in words."""
    longest_pause_seconds: float = 0.0
    """Longest time from a request to the answer to the next one of its visit: the shop saw them no further apart."""

    def note_failure(self, problem: str) -> None:
        """Count a failure, and keep its text while there are few."""
        self.failed += 1
        if len(self.problems) < _MAX_PROBLEMS_KEPT:
            self.problems.append(problem)


@dataclass(slots=True)
class _Browser:
    """A visitor between two visits."""

    visitor: Visitor
    jar: CookieJar
    last_answer_at: float = 0.0
    """By the monotonic clock."""


class VisitorSender:
    """Sends visitors to the shop at an address of this computer."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        visit_timeout_seconds: float,
        on_progress: Callable[[int], None] = lambda sent: None,
    ) -> None:
        """Prepare for a shop.

        Args:
            host: address that the shop listens on.
            port: its port.
            visit_timeout_seconds: time-out that the shop's visits have; who returns waits that long.
            on_progress: called with 1 after each request, from several threads but one at a time.
        """
        self._host, self._port = host, port
        self._pause_seconds = visit_timeout_seconds * 1.02 + 0.1
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._report = SendReport()
        self._thread = threading.local()
        self._connections: list[Connection] = []

    def send(self, visitors: Sequence[Visitor]) -> SendReport:
        """Send everything and return what became of it. An interrupt ends it between two requests."""
        browsers = [_Browser(visitor, CookieJar(visitor.keeps_cookies)) for visitor in visitors]
        # Who returns comes first, so that the wait between two visits is filled with the others.
        browsers.sort(key=lambda browser: -len(browser.visitor.visits))
        pool = ThreadPoolExecutor(CLIENTS, thread_name_prefix="visitor")
        try:
            for future in self._submit_all(pool, browsers):
                future.result()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            for connection in self._connections:
                connection.close()
        return self._report

    def _submit_all(self, pool: ThreadPoolExecutor, browsers: list[_Browser]) -> list[Future[None]]:
        futures: list[Future[None]] = []
        previous: dict[int, Future[None]] = {}
        most_visits = max((len(browser.visitor.visits) for browser in browsers), default=0)
        for round_number in range(most_visits):
            for browser in browsers:
                if round_number < len(browser.visitor.visits):
                    # The pool starts tasks in this order, so the visit that is waited for has always begun.
                    before = previous.get(id(browser))
                    previous[id(browser)] = pool.submit(self._send_visit, browser, round_number, before)
                    futures.append(previous[id(browser)])
        return futures

    def _send_visit(self, browser: _Browser, number: int, before: Future[None] | None) -> None:
        if before is not None:
            before.result()
            self._stop.wait(max(0.0, browser.last_answer_at + self._pause_seconds - time.monotonic()))
        page = location = ""
        began_before = None
        for request in browser.visitor.visits[number]:
            if self._stop.is_set():
                return
            target = location if request.target == FOLLOW else request.target
            began_at = time.monotonic()
            location = self._send_request(browser, request, target, page)
            browser.last_answer_at = time.monotonic()
            if began_before is not None:
                self._note_pause(browser.last_answer_at - began_before)
            began_before = began_at
            page = target

    def _send_request(self, browser: _Browser, request: PlannedRequest, target: str, page: str) -> str:
        """Send one request and return where its answer points."""
        what = f"{request.method} {request.target or 'the redirect of the answer before'}"
        if not target:
            self._finish_request(f"{what}: there was no redirect")
            return ""
        try:
            answer = self._connection().request(
                request.method,
                target,
                self._headers(browser.visitor, request, page),
                form=request.form,
                jar=browser.jar,
            )
        except (OSError, HTTPException) as error:
            self._finish_request(f"{what}: no answer ({type(error).__name__}: {error})")
            return ""
        is_planned = answer.status == request.status
        self._finish_request(
            "" if is_planned else f"{what}: answered {answer.status}, planned {request.status}",
            is_answered=True,
        )
        return answer.location

    def _headers(self, visitor: Visitor, request: PlannedRequest, page: str) -> dict[str, str]:
        headers = {"User-Agent": visitor.agent.text, "X-Forwarded-For": request.forwarded_for}
        if visitor.language:
            headers["Accept-Language"] = visitor.language
        if visitor.opts_out:
            headers["Sec-GPC"] = "1"
        if page and not visitor.agent.is_bot:
            headers["Referer"] = f"http://{self._host}:{self._port}{page}"
        elif request.referrer:
            headers["Referer"] = request.referrer
        return headers

    def _finish_request(self, problem: str, *, is_answered: bool = False) -> None:
        with self._lock:
            self._report.sent += is_answered
            if problem:
                self._report.note_failure(problem)
            self._on_progress(1)

    def _note_pause(self, seconds: float) -> None:
        with self._lock:
            self._report.longest_pause_seconds = max(self._report.longest_pause_seconds, seconds)

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            connection = self._thread.connection = Connection(self._host, self._port)
            with self._lock:
                self._connections.append(connection)
        return connection
