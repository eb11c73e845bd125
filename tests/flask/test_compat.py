"""The compatibility module: every public name of Flask-Track-Usage, from one place."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from typing import Any

import flask
import pytest

from otel_usage.flask import TrackUsage, compat
from tests.tracking import Tracking

OLD_NAMES = {
    "flask_track_usage": ["TrackUsage"],
    "flask_track_usage.storage": ["Storage", "Writer"],
    "flask_track_usage.storage.couchdb": ["CouchDBStorage"],
    "flask_track_usage.storage.mongo": ["MongoEngineStorage", "MongoPiggybackStorage", "MongoStorage"],
    "flask_track_usage.storage.output": ["OutputWriter"],
    "flask_track_usage.storage.printer": ["PrintWriter", "PrintStorage"],
    "flask_track_usage.storage.redis_db": ["RedisStorage"],
    "flask_track_usage.storage.sql": ["SQLStorage"],
    "flask_track_usage.summarization": [
        "sumUrl", "sumRemote", "sumUserAgent", "sumLanguage", "sumServer",
        "sumVisitor", "sumGeo", "sumBasic",  # documented, never written
    ],
}  # fmt: skip


@pytest.mark.parametrize("module", OLD_NAMES)
def test_every_public_name_of_the_old_modules_is_there_and_where_it_was(module: str) -> None:
    where_it_was = importlib.import_module(module.replace("flask_track_usage", "otel_usage.flask.compat"))

    for name in OLD_NAMES[module]:
        assert callable(getattr(compat, name))
        assert getattr(where_it_was, name) is getattr(compat, name)
        assert name in compat.__all__
        assert name in where_it_was.__all__


def test_the_extension_is_the_very_same_class() -> None:
    assert compat.TrackUsage is TrackUsage


def test_an_old_app_runs_with_its_old_storage_and_is_told_what_became_of_it(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("otel_usage.flask.storages.databases._told", set())
    tracking.start()
    app = flask.Flask("shop")
    app.config.update(
        TRACK_USAGE_USE_FREEGEOIP=False, TRACK_USAGE_INCLUDE_OR_EXCLUDE_VIEWS="include", TESTING=True
    )
    with caplog.at_level(logging.WARNING):
        storage = compat.SQLStorage(engine=object(), table_name="usage", hooks=[compat.sumUrl])
    usage = compat.TrackUsage(app, [storage, compat.PrintWriter()])

    @usage.include
    @app.route("/")
    def home() -> str:
        flask.g.track_var["test"] = "yes"
        return "home"

    app.test_client().get("/")

    assert "otel-usage import flask-track-usage" in caplog.text
    assert len(tracking.events("request")) == 1


def test_a_storage_without_its_database_is_refused_as_before() -> None:
    with pytest.raises(ValueError, match="Both db and engine args cannot be None"):
        compat.SQLStorage()


def test_a_writer_prints_what_it_gets(tracking: Tracking, capsys: pytest.CaptureFixture[str]) -> None:
    tracking.start()
    app = flask.Flask("shop")
    app.testing = True
    shown: list[Any] = []

    def transform(data: dict[str, Any]) -> str:
        shown.append(data["path"])
        return f"OUTPUT: {data['path']}\n"

    compat.TrackUsage(app, [compat.OutputWriter(transform=transform)])
    app.test_client().get("/nowhere")

    assert shown == ["/nowhere"]


def test_an_app_without_the_extension_loads_nothing_of_it() -> None:
    code = (
        "import sys, otel_usage.flask as ours\n"
        "parts = ('track_usage', 'app_usage', 'handover', 'track_var', 'storages')\n"
        "print([part for part in parts if f'otel_usage.flask.{part}' in sys.modules])\n"
        "print(ours.TrackUsage.__name__, hasattr(ours, 'TrackUsages'), 'TrackUsage' in dir(ours))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["[]", "TrackUsage False True"]
