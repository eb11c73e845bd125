"""Signed-in users in funnels, and the visit that joins who somebody was with who they turn out to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

import otel_usage
from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from tests.builders import insert_events
from tests.docs_tables import DOCS
from tests.tracking import Tracking

FUNNEL = """
[funnels.purchase]
stages = [
  { name = "shop", paths = ["/"] },
  { name = "basket", routes = ["/basket/<int:number>"] },
  { name = "order", events = ["order_placed"] },
  { name = "paid" },
]
"""
STAGES = ["shop", "basket", "order", "paid"]


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    def sign_in(user: str) -> str:
        flask.session["user"] = user
        return "in"

    def order() -> str:
        otel_usage.track("order_placed")
        return "ordered"

    def pay() -> str:
        otel_usage.reached("purchase", "paid")
        return "paid"

    def stream() -> flask.Response:
        def body() -> Iterator[str]:
            yield "a"
            otel_usage.reached("purchase", "paid")

        return flask.Response(body())

    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/basket/<int:number>", "basket", lambda number: "basket")
    app.add_url_rule("/sign-in/<user>", "sign_in", sign_in)
    app.add_url_rule("/order", "order", order)
    app.add_url_rule("/pay", "pay", pay)
    app.add_url_rule("/stream", "stream", stream)
    return app


WAY = ("/", "/basket/1", "/order", "/pay")


@pytest.fixture
def start(tracking: Tracking, tmp_path: Path) -> Callable[..., None]:
    path = tmp_path / "funnels.toml"
    path.write_text(FUNNEL)

    def start(**settings: Any) -> None:
        tracking.start(funnels=str(path), user=lambda request: flask.session.get("user"), **settings)

    return start


def visit(app: Flask, *paths: str) -> None:
    client = app.test_client()
    for path in paths:
        client.get(path, buffered=True)


def stages(tracking: Tracking) -> list[object]:
    return [event.attributes[names.STAGE] for event in tracking.events("stage_reached")]


def test_a_signed_in_user_goes_through_the_funnel_like_anybody(
    tracking: Tracking, start: Callable[..., None]
) -> None:
    start()

    visit(build_app(), "/sign-in/ann", *WAY)

    assert sorted(map(str, stages(tracking))) == sorted(STAGES)


@pytest.mark.parametrize("with_contrib", [True, False], ids=["with contrib", "without"])
def test_an_ignored_user_reaches_no_stage_and_is_counted_as_a_request(
    tracking: Tracking, start: Callable[..., None], with_contrib: bool
) -> None:
    start(ignore_users=True)
    if with_contrib:
        FlaskInstrumentor().instrument()

    visit(build_app(), "/sign-in/ann", *WAY, "/stream")

    assert stages(tracking) == []
    assert len(tracking.events("request")) == 6
    assert len(tracking.events("order_placed")) == 1
    assert dict(tracking.accounting().filtered) == {"ignored_user": 2}
    for span in tracking.spans():
        assert names.STAGE not in (span.attributes or {})


def test_somebody_who_is_not_signed_in_is_not_ignored(tracking: Tracking, start: Callable[..., None]) -> None:
    start(ignore_users=True)

    visit(build_app(), *WAY)

    assert sorted(map(str, stages(tracking))) == sorted(STAGES)


def test_what_is_reached_outside_of_a_request_is_not_ignored(
    tracking: Tracking, start: Callable[..., None]
) -> None:
    start(ignore_users=True)

    otel_usage.reached("purchase", "paid")

    assert stages(tracking) == ["paid"]


def documented_sql(page: str, heading: str) -> str:
    """Return the first SQL example below a heading."""
    section = (DOCS / page).read_text("utf-8").partition(f"## {heading}\n")[2]
    match = re.search(r"```sql\n(.*?)```", section, re.DOTALL)
    assert match is not None
    return match[1]


def test_a_visit_keeps_its_key_when_it_becomes_a_users(
    tracking: Tracking, start: Callable[..., None]
) -> None:
    start()

    visit(build_app(), "/", "/basket/1", "/sign-in/ann", "/order")

    requests = tracking.events("request")
    assert len({event.attributes[names.VISIT_KEY] for event in requests}) == 1
    assert [event.attributes.get(names.USER_ID) for event in requests] == [None, None, "ann", "ann"]


def test_what_a_user_did_before_signing_in_is_joined(
    tracking: Tracking, start: Callable[..., None], usage: ClickHouse
) -> None:
    start()
    app = build_app()
    visit(app, "/", "/basket/7", "/sign-in/ann", "/pay")
    visit(app, "/basket/8")
    visit(app, "/basket/9", "/sign-in/bob")
    insert_events(usage, tracking.events())

    rows = usage.query(documented_sql("identity.md", "What a user did before signing in")).rows

    assert [(row[0], row[2]) for row in rows] == [
        ("ann", "/"),
        ("ann", "/basket/7"),
        ("bob", "/basket/9"),
    ]


def test_whole_visits_of_users_are_left_out_by_the_documented_query(
    tracking: Tracking, start: Callable[..., None], usage: ClickHouse
) -> None:
    start(ignore_users=True)
    app = build_app()
    visit(app, "/", "/basket/7", "/sign-in/ann", "/order")
    visit(app, "/", "/basket/8", "/order")
    visit(app, "/")
    insert_events(usage, tracking.events())

    counted = usage.query("SELECT stage, visits FROM conversions_daily ORDER BY stage_index").rows
    anonymous = usage.query(documented_sql("identity.md", "Leave signed-in users out")).rows

    assert [tuple(row) for row in counted] == [("shop", 3), ("basket", 2), ("order", 1)]
    assert [tuple(row) for row in anonymous] == [("purchase", 1, 2), ("purchase", 2, 1), ("purchase", 3, 1)]
