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


def hang(data: dict[str, Any]) -> None:
    threading.Event().wait()


def keep(data: dict[str, Any]) -> None:
    print("stored", data["path"], flush=True)


app = Flask("shop")
app.add_url_rule("/<int:number>", view_func=lambda number: str(number), endpoint="number")


def main(how: str) -> None:
    TrackUsage(app, [hang, keep])
    client = app.test_client()
    for number in range(REQUESTS):
        client.get(f"/{number}")
    if how == "signal":
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1])
