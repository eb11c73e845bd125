"""The app to which tests attach `TrackUsage`."""

from __future__ import annotations

from typing import Any

import flask
from flask import Flask

Data = dict[str, Any]
MODE = "TRACK_USAGE_INCLUDE_OR_EXCLUDE_VIEWS"


def build_shop(**config: object) -> Flask:
    """Return an app under test: its storages have a request when its answer is there."""
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    app.config.update({"TESTING": True, **config})
    app.add_url_rule("/item/<int:number>", "item", lambda number: f"item {number}")
    return app


def paths(stored: list[Data]) -> list[str]:
    return [data["path"] for data in stored]
