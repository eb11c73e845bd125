"""An app with `TrackUsage`, as a program of its own: prints what its storage gets. Run by test_track_usage_launched.py."""

from __future__ import annotations

import json
import threading
from typing import Any

import flask

from otel_usage import wiring
from otel_usage.flask import TrackUsage
from otel_usage.pipeline import processor

# Long enough for what the first event loads, however busy the machine is.
vars(wiring)["SHUT_DOWN_SECONDS"] = vars(processor)["SHUT_DOWN_SECONDS"] = 60.0

app = flask.Flask("shop")
request_thread = threading.get_ident()


def show(data: dict[str, Any]) -> None:
    is_off_thread = threading.get_ident() != request_thread
    print(json.dumps([data["path"], data["status"], data["track_var"], is_off_thread]), flush=True)


usage = TrackUsage(app, show)


@app.get("/")
def home() -> str:
    flask.g.track_var["seen"] = "home"
    return "home"


client = app.test_client()
client.get("/")
client.get("/nowhere")
print(type(getattr(wiring.runtime(), "processor")._worker._exporter).__name__, flush=True)  # noqa: B009
