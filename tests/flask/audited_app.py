"""Serves requests in the main thread and prints what our code opened there. Run by test_audit.py.

Python's audit events tell of every file and socket, whoever opens it; the frames tell whether it was us.
"""

from __future__ import annotations

import sys
import threading
from types import FrameType

import flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

import otel_usage
from otel_usage import wiring
from otel_usage.flask import FlaskUsageInstrumentor

REQUESTS = 200
WATCHED = ("open", "socket.", "os.listdir", "os.scandir", "subprocess.", "sqlite3.", "urllib.")

request_thread = threading.get_ident()
is_serving = False
opened: list[str] = []


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if is_serving and threading.get_ident() == request_thread and event.startswith(WATCHED):
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith("otel_usage"):
                opened.append(f"{event} {arguments!r:.100} at {frame.f_globals['__name__']}:{frame.f_lineno}")
                return
            frame = frame.f_back


def main(dsn: str, sdk: bool, contrib: bool) -> None:
    global is_serving
    if sdk:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        trace.set_tracer_provider(TracerProvider())
    otel_usage.configure(dsn=dsn, flush_interval_seconds=0.02, batch_size=50)
    FlaskUsageInstrumentor().instrument()
    if contrib:
        FlaskInstrumentor().instrument()
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        otel_usage.object_viewed("item", number)
        otel_usage.track("liked", color="red")
        if number % 10 == 0:
            raise RuntimeError("of the app")
        return "ok"

    app.logger.disabled = True
    sys.addaudithook(watch)
    is_serving = True
    client = app.test_client()
    for number in range(REQUESTS):
        client.get(
            f"/item/{number}?q=1",
            headers={
                "User-Agent": f"Mozilla/5.0 Firefox/{number}.0",
                "Referer": "https://news.example/",
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            },
        )
    is_serving = False
    processor = wiring._wiring.processor
    assert processor is not None
    processor.shutdown()
    counted = processor.accounting()
    print(counted.seen, counted.stored, *opened, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1], "sdk" in sys.argv, "contrib" in sys.argv)
