"""Finds out what our code opens while requests are served in the main thread, whichever framework serves them.

Python's audit events tell of every file and socket, whoever opens it; the frames tell whether it was us.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType

from otel_usage import wiring

REQUESTS = 200
HEADERS = {
    "Referer": "https://news.example/",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
_WATCHED = ("open", "socket.", "os.listdir", "os.scandir", "subprocess.", "sqlite3.", "urllib.")


def print_what_is_opened(ask: Callable[[int, dict[str, str]], object]) -> None:
    """Let `ask` send each request, and print how many events were seen and stored, and what we opened meanwhile.

    With the argument `answered` the process waits until all events are stored.
    """
    request_thread = threading.get_ident()
    opened: list[str] = []
    is_serving = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if is_serving and threading.get_ident() == request_thread and event.startswith(_WATCHED):
            frame: FrameType | None = sys._getframe(1)
            while frame is not None:
                if _is_ours(frame):
                    place = f"{frame.f_globals['__name__']}:{frame.f_lineno}"
                    opened.append(f"{event} {arguments!r:.100} at {place}")
                    return
                frame = frame.f_back

    sys.addaudithook(watch)
    for number in range(REQUESTS):
        ask(number, {**HEADERS, "User-Agent": f"Mozilla/5.0 Firefox/{number}.0"})
    is_serving = False
    processor = wiring._wiring.processor
    assert processor is not None
    if "answered" in sys.argv:
        # However busy the machine is; without an answer there is nothing to wait for.
        processor.force_flush(60_000)
    processor.shutdown()
    counted = processor.accounting()
    print(counted.seen, counted.stored, *opened, sep="\n")


def _is_ours(frame: FrameType) -> bool:
    # Inside of Django's middleware runs all the rest of the site.
    is_passed_through = frame.f_code.co_name in ("__call__", "_call_async")
    return frame.f_globals.get("__name__", "").startswith("otel_usage") and not is_passed_through


def set_up_sdk() -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
