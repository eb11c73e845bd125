"""What a browser fetches in advance is flagged, and opens no visit that nobody may ever make."""

from __future__ import annotations

from pathlib import Path

import flask
import pytest
from flask import Flask

import otel_usage
from otel_usage import attributes as names
from otel_usage.visits.manager import VisitRequest, VisitState
from tests.tracking import Tracking
from tests.visits.cookieless_managers import runtime_directory

__all__ = ["runtime_directory"]

PURPOSE = names.PROPERTY_PREFIX + "purpose"
PREFETCH = {"Sec-Purpose": "prefetch"}


@pytest.fixture
def app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    app.add_url_rule("/", "home", lambda: str(otel_usage.current_visit() is not None))
    return app


@pytest.mark.parametrize(
    ("headers", "purpose"),
    [
        (PREFETCH, "prefetch"),
        ({"Sec-Purpose": "prefetch;prerender"}, "prerender"),
        ({"Purpose": "prefetch"}, "prefetch"),
        ({"X-Moz": "prefetch"}, "prefetch"),
        ({"X-Purpose": "preview"}, "preview"),
        ({}, None),
    ],
)
def test_a_request_in_advance_is_flagged(
    tracking: Tracking, app: Flask, headers: dict[str, str], purpose: str | None
) -> None:
    tracking.start()

    app.test_client().get("/", headers=headers)

    assert tracking.request().attributes.get(PURPOSE) == purpose


@pytest.mark.parametrize("manager", ["cookie", "session", "cookieless", "sqlalchemy"])
def test_a_prefetch_opens_no_visit_and_sets_no_cookie(
    tracking: Tracking, app: Flask, runtime_directory: Path, tmp_path: Path, manager: str
) -> None:
    tracking.start(visit_manager=manager, visit_database=f"sqlite:///{tmp_path}/visits.db")
    client = app.test_client()

    response = client.get("/", headers=PREFETCH)
    client.get("/")

    assert response.data == b"False"
    assert "Set-Cookie" not in response.headers
    prefetch, shown = tracking.events("request")
    assert not {names.VISIT_KEY, names.VISITOR_ID, names.VISIT_IS_NEW} & prefetch.attributes.keys()
    assert shown.attributes[names.VISIT_IS_NEW] is True


@pytest.mark.parametrize("manager", ["cookie", "session", "cookieless", "sqlalchemy"])
def test_a_prefetch_belongs_to_the_visit_that_is_under_way(
    tracking: Tracking, app: Flask, runtime_directory: Path, tmp_path: Path, manager: str
) -> None:
    tracking.start(visit_manager=manager, visit_database=f"sqlite:///{tmp_path}/visits.db")
    client = app.test_client()
    client.get("/")

    response = client.get("/", headers=PREFETCH)

    assert response.data == b"True"
    first, prefetch = tracking.events("request")
    assert prefetch.attributes[names.VISIT_KEY] == first.attributes[names.VISIT_KEY]
    assert prefetch.attributes[names.VISIT_IS_NEW] is False


def test_a_prefetch_with_a_visit_that_is_over_has_none(tracking: Tracking, app: Flask) -> None:
    tracking.start()
    client = app.test_client()
    client.get("/")
    manager = app.extensions["otel_usage"]._visits
    later = manager.clock_ms() + 1_200_001
    manager.clock_ms = lambda: later

    response = client.get("/", headers=PREFETCH)

    assert "Set-Cookie" not in response.headers
    assert names.VISIT_KEY not in tracking.events("request")[-1].attributes


def test_a_prefetch_that_would_renew_the_cookie_leaves_it(tracking: Tracking, app: Flask) -> None:
    tracking.start()
    client = app.test_client()
    client.get("/")
    manager = app.extensions["otel_usage"]._visits
    later = manager.clock_ms() + 600_000
    manager.clock_ms = lambda: later

    assert "Set-Cookie" not in client.get("/", headers=PREFETCH).headers
    assert "Set-Cookie" in client.get("/").headers


class Opener(otel_usage.BaseVisitManager):
    """A manager that knows nothing of requests in advance."""

    def visit_for_request(self, request: VisitRequest) -> VisitState:
        return VisitState(otel_usage.Visit("0" * 32, True, "1" * 32, 0), "mine=1")


def test_a_manager_that_opens_a_visit_all_the_same_is_not_heard(tracking: Tracking, app: Flask) -> None:
    tracking.start(visit_manager=Opener)

    response = app.test_client().get("/", headers=PREFETCH)

    assert "Set-Cookie" not in response.headers
    assert names.VISIT_KEY not in tracking.request().attributes


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET", "POST"])
def test_the_method_tells_requests_that_show_nothing(tracking: Tracking, app: Flask, method: str) -> None:
    tracking.start()

    app.test_client().open("/", method=method)

    assert tracking.request().attributes[names.METHOD] == method
