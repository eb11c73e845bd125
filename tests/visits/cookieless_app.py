"""Serves requests of Flask without cookies in the main thread. Run by test_cookieless_flask.py.

Prints what our code opened in that thread, by Python's audit events, and what the visits were.
"""

from __future__ import annotations

import sys
import threading
from types import FrameType

import flask
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import otel_usage
from otel_usage.flask import FlaskUsageInstrumentor
from tests.visits.cookieless_managers import have_patience

REQUESTS = 100
WATCHED = ("open", "os.", "mmap.", "socket.", "subprocess.", "sqlite3.", "tempfile.", "shutil.", "urllib.")

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


def main() -> None:
    global is_serving
    have_patience(pytest.MonkeyPatch())
    trace.set_tracer_provider(TracerProvider())
    otel_usage.configure(exporter="none")
    FlaskUsageInstrumentor().instrument()
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    visits = set()

    @app.get("/")
    def item() -> str:
        visit = otel_usage.current_visit()
        visits.add(visit and (visit.key, visit.visitor_id))
        return "ok"

    sys.addaudithook(watch)
    # The first request sets the manager up, and counts too.
    is_serving = True
    client = app.test_client(use_cookies=False)
    headers = {"User-Agent": "Mozilla/5.0 Firefox/127.0"}
    responses = [client.get("/", headers=headers) for _ in range(REQUESTS)]
    opted_out = client.get("/", headers={**headers, "Sec-GPC": "1"})
    is_serving = False
    assert [response.status_code for response in responses] == [200] * REQUESTS
    assert opted_out.status_code == 200
    cookies = [response.headers.getlist("Set-Cookie") for response in [*responses, opted_out]]
    print(len(visits - {None}), None in visits, sum(map(len, cookies)), *opened, sep="\n")


if __name__ == "__main__":
    main()
