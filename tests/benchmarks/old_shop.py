"""The shop with Flask-Track-Usage 2.0.0: which storage it writes to is in the environment, for gunicorn."""

from __future__ import annotations

import importlib
import os
from typing import Any

import flask
from flask import Flask
from flask.globals import request_ctx

STORAGE_VARIABLE = "OLD_SHOP_STORAGE"
"""Empty for one that does nothing, else a URL of SQLAlchemy's."""
TABLE_VARIABLE = "OLD_SHOP_TABLE"
HOOKS = ("sumUrl", "sumRemote", "sumUserAgent", "sumLanguage", "sumServer")


class _RequestStack:
    """What Flask had until 2.2, and Flask-Track-Usage reads: the context of the request as the top of a stack."""

    @property
    def top(self) -> object:
        return request_ctx._get_current_object()  # type: ignore[attr-defined]  # of the proxy


def import_old() -> Any:
    """Return `flask_track_usage`, made to import with a Flask of today."""
    if not hasattr(flask, "_request_ctx_stack"):
        flask.__dict__["_request_ctx_stack"] = _RequestStack()
    return importlib.import_module("flask_track_usage")


def discard(data: dict[str, object]) -> None:
    """Store nothing."""


def track(app: Flask, url: str, *, table: str = "flask_usage", summaries: bool = False) -> Any:
    """Let Flask-Track-Usage track an app; return the SQLAlchemy engine that it writes to, if any."""
    old = import_old()
    if not url:
        old.TrackUsage(app, discard)
        return None
    # Not at the top: of this process, the old version that stands first on the path.
    sqlalchemy = importlib.import_module("sqlalchemy")
    storage_module = importlib.import_module("flask_track_usage.storage.sql")
    hooks_module = importlib.import_module("flask_track_usage.summarization")
    engine, metadata = sqlalchemy.create_engine(url), sqlalchemy.MetaData()
    hooks = [getattr(hooks_module, name) for name in HOOKS] if summaries else []
    storage = storage_module.SQLStorage(engine=engine, metadata=metadata, table_name=table, hooks=hooks)
    # The hooks name their tables and do not make them.
    metadata.create_all(engine)
    old.TrackUsage(app, [storage])
    return engine


def create_app() -> Flask:
    """Return the shop of the other benchmarks, tracked as the environment says."""
    from tests.benchmarks.shop import app

    track(app, os.environ[STORAGE_VARIABLE])
    return app
