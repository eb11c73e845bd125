"""A Flask app with one good storage and one that hangs, which serves some requests and ends as `how` says."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from flask import Flask

from otel_usage.flask import TrackUsage

REQUESTS = 5
SECONDS = 30.0

first_is_stored = threading.Event()


def hang(data: dict[str, Any]) -> None:
    threading.Event().wait()


def keep(data: dict[str, Any]) -> None:
    print("stored", data["path"], flush=True)
    first_is_stored.set()


app = Flask("shop")
app.add_url_rule("/<int:number>", view_func=lambda number: str(number), endpoint="number")


def main(how: str) -> None:
    TrackUsage(app, [hang, keep])
    client = app.test_client()
    client.get("/0")
    # What the first event loads may take a busy machine longer than a process may take for its end.
    first_is_stored.wait(SECONDS)
    for number in range(1, REQUESTS):
        client.get(f"/{number}")
    if how == "signal":
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1])
