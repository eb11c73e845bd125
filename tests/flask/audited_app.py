"""Serves requests of a Flask app and prints what our code opened there. Run by test_audit.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

import otel_usage
from otel_usage.flask import FlaskUsageInstrumentor, TrackUsage
from tests.auditing import print_what_is_opened, set_up_sdk


def main(dsn: str, sdk: bool, contrib: bool, extension: bool) -> None:
    if sdk:
        set_up_sdk()
    otel_usage.configure(dsn=dsn, flush_interval_seconds=0.02, batch_size=50)
    FlaskUsageInstrumentor().instrument()
    if contrib:
        FlaskInstrumentor().instrument()
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    if extension:
        TrackUsage(app, [read_a_file])

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        otel_usage.object_viewed("item", number)
        otel_usage.track("liked", color="red")
        if extension:
            flask.g.track_var["number"] = number
        if number % 10 == 0:
            raise RuntimeError("of the app")
        return "ok"

    app.logger.disabled = True
    client = app.test_client()
    print_what_is_opened(lambda number, headers: client.get(f"/item/{number}?q=1", headers=headers))


def read_a_file(data: dict[str, Any]) -> None:
    """Do what a storage does, and a request must not."""
    Path(__file__).read_bytes()


if __name__ == "__main__":
    main(sys.argv[1], "sdk" in sys.argv, "contrib" in sys.argv, "extension" in sys.argv)
