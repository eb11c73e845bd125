"""A visitor who sends GPC or DNT is counted in requests, and in nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

import otel_usage
from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.visits.plugins import visit_plugins
from tests.builders import insert_events
from tests.tracking import Tracking
from tests.visits.cookieless_managers import runtime_directory

__all__ = ["runtime_directory"]

IDENTITY = {names.VISIT_KEY, names.VISITOR_ID, names.VISIT_IS_NEW, names.USER_ID}
BOTH = {"Sec-GPC": "1", "DNT": "1"}


@pytest.fixture
def app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.route("/", methods=["GET", "POST"])
    def home() -> str:
        otel_usage.track("seen")
        otel_usage.object_viewed("item", 1)
        return f"{otel_usage.current_visit()} {otel_usage.visit_ticket()!r}"

    app.add_url_rule("/stream", "stream", lambda: flask.Response(iter([home()])))
    return app


@pytest.mark.parametrize("headers", [{"Sec-GPC": "1"}, {"DNT": "1"}, BOTH], ids=["GPC", "DNT", "both"])
@pytest.mark.parametrize("path", ["/", "/stream", "/nowhere"])
@pytest.mark.parametrize("with_contrib", [True, False], ids=["with contrib", "without"])
def test_nothing_tells_who_it_was(
    tracking: Tracking, app: Flask, headers: dict[str, str], path: str, with_contrib: bool
) -> None:
    tracking.start(user=lambda request: "ann", basic_auth_users=True)
    if with_contrib:
        FlaskInstrumentor().instrument()
    client = app.test_client()
    client.get("/")
    known = len(tracking.events())

    response = client.get(path, headers=headers, auth=("ann", "x"), buffered=True)

    assert "Set-Cookie" not in response.headers
    events = tracking.events()[known:]
    assert [event.name for event in events if event.name == "request"] == ["request"]
    for event in events:
        assert not IDENTITY & event.attributes.keys()


@pytest.mark.parametrize("manager", ["cookie", "cookieless", "session", "sqlalchemy"])
def test_every_visit_manager_respects_it(
    tracking: Tracking, app: Flask, runtime_directory: Path, tmp_path: Path, manager: str
) -> None:
    tracking.start(
        visit_manager=manager,
        visit_database=f"sqlite:///{tmp_path}/visits.db",
        visit_sources="cookie,form",
    )

    response = app.test_client().get("/", headers=BOTH)

    assert response.text == "None ''"
    assert "Set-Cookie" not in response.headers
    assert not IDENTITY & tracking.request().attributes.keys()


def test_a_ticket_in_a_form_is_not_read(tracking: Tracking, app: Flask) -> None:
    tracking.start(visit_sources="form")
    ticket = app.test_client().get("/").text.rpartition(" ")[2].strip("'")
    assert ticket

    app.test_client().post("/", data={"otel_usage_visit": ticket}, headers=BOTH)

    assert names.VISIT_KEY not in tracking.events("request")[-1].attributes


def test_no_plug_in_is_told(tracking: Tracking, app: Flask) -> None:
    told: list[object] = []
    tracking.start()

    def remember(visit: object) -> None:
        told.append(visit)

    visit_plugins.enable(remember)
    try:
        app.test_client().get("/", headers=BOTH)
    finally:
        visit_plugins.disable(remember)

    assert told == []


@pytest.mark.parametrize(
    ("settings", "headers", "is_followed"),
    [
        ({"respect_gpc": False}, {"Sec-GPC": "1"}, True),
        ({"respect_gpc": False}, {"DNT": "1"}, False),
        ({"respect_dnt": False}, {"DNT": "1"}, True),
        ({"respect_dnt": False}, {"Sec-GPC": "1"}, False),
        ({"respect_gpc": False, "respect_dnt": False}, BOTH, True),
        ({"respect_dnt": False}, BOTH, False),
    ],
)
def test_each_signal_has_a_setting_of_its_own(
    tracking: Tracking, app: Flask, settings: dict[str, Any], headers: dict[str, str], is_followed: bool
) -> None:
    tracking.start(**settings)

    response = app.test_client().get("/", headers=headers)

    assert ("Set-Cookie" in response.headers) is is_followed
    assert (names.VISIT_KEY in tracking.request().attributes) is is_followed


def test_who_stops_sending_it_goes_on_with_the_visit_of_before(tracking: Tracking, app: Flask) -> None:
    tracking.start()
    client = app.test_client()

    for headers in ({}, BOTH, {}):
        client.get("/", headers=headers)

    first, hidden, last = tracking.events("request")
    assert names.VISIT_KEY not in hidden.attributes
    assert first.attributes[names.VISIT_KEY] == last.attributes[names.VISIT_KEY]


def test_only_requests_are_counted(tracking: Tracking, app: Flask, usage: ClickHouse) -> None:
    tracking.start(user=lambda request: "ann")
    for headers in ({}, BOTH, BOTH):
        app.test_client().get("/", headers=headers)

    insert_events(usage, tracking.events())

    assert usage.query("SELECT sum(requests), sum(visits) FROM browsers_daily").rows[0][:2] == (3, 1)
    assert usage.query("SELECT count(), max(user_id) FROM visits").rows[0][:2] == (1, "ann")
    assert usage.query("SELECT countIf(user_id != '') FROM events").rows[0][0] == 3
