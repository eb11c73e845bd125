"""A program that tracks by hand, serves requests, and prints which of its threads opened sockets and files.

Arguments: the DSN and the number of requests. Prints JSON: event counts of the request thread during the
measured requests, those of the other threads over the whole run, and the accounting of the pipeline.
"""

from __future__ import annotations

import json
import sys
import threading
import traceback
from collections import Counter
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import otel_usage
from otel_usage import wiring
from otel_usage.flask import FlaskUsageInstrumentor

AUDITED = frozenset({"open", "socket.__new__", "socket.connect", "socket.getaddrinfo", "socket.bind"})
WARM_UP_REQUESTS = 1


class Auditor:
    """Counts audited events by thread: of the thread that made it only while `is_serving`."""

    def __init__(self) -> None:
        self._request_thread = threading.get_ident()
        self.is_serving = False
        self.on_request_thread: Counter[str] = Counter()
        self.on_other_threads: Counter[str] = Counter()
        self.first_stack = ""

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in AUDITED:
            return
        if threading.get_ident() != self._request_thread:
            self.on_other_threads[event] += 1
        elif self.is_serving:
            self.on_request_thread[event] += 1
            self.first_stack = self.first_stack or _stack()


def _stack() -> str:
    # Without the lines of code: reading them would open files, and the hook would be called within itself.
    frames = (frame for frame, _ in traceback.walk_stack(None))
    return "\n".join(f"{frame.f_code.co_filename}:{frame.f_lineno}" for frame in frames)


def main(dsn: str, requests: int) -> None:
    auditor = Auditor()
    sys.addaudithook(auditor)
    trace.set_tracer_provider(TracerProvider())
    otel_usage.configure(dsn=dsn, flush_interval_seconds=0.02)
    FlaskInstrumentor().instrument()
    FlaskUsageInstrumentor().instrument()
    # Now, because contrib changes the class that the site imports.
    from tests.launcher.apps import create_app

    client = create_app().test_client()
    statuses: Counter[int] = Counter()

    for number in range(WARM_UP_REQUESTS + requests):
        auditor.is_serving = number >= WARM_UP_REQUESTS
        statuses[client.get(f"/item/{number}").status_code] += 1
    auditor.is_serving = False

    active = wiring.runtime()
    assert active is not None
    assert active.processor is not None
    # To a database that is down, this waits for one attempt at least.
    active.processor.shutdown()
    counted = active.accounting.snapshot()
    json.dump(
        {
            "statuses": statuses,
            "request_thread": auditor.on_request_thread,
            "other_threads": auditor.on_other_threads,
            "first_stack": auditor.first_stack,
            "seen": counted.seen,
            "stored": counted.stored,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
