"""What a hostile client may send: bounded, valid text comes out, and the app's answer stays."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from otel_usage import attributes as names
from otel_usage.pipeline.events import to_span
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from otel_usage.pipeline.rows import to_columns
from tests.tracking import Tracking

ENDLESS = "x" * 200_000
"""More than any server lets through, and no more than Werkzeug handles at once; 10 MB are tried without Flask."""


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    app.add_url_rule("/", "home", lambda: "ok")
    app.add_url_rule("/<path:rest>", "rest", lambda rest: "ok")
    return app


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"HTTP_USER_AGENT": ENDLESS}, id="user agent without end"),
        pytest.param({"PATH_INFO": "/" + ENDLESS}, id="path without end"),
        pytest.param({"QUERY_STRING": "q=" + ENDLESS}, id="query without end"),
        pytest.param({"QUERY_STRING": "&" * 20_000}, id="very many parameters"),
        pytest.param({"QUERY_STRING": "token=" * 20_000}, id="very many secrets"),
        pytest.param({"HTTP_COOKIE": "otel_usage_visit=" + ENDLESS}, id="cookie without end"),
        pytest.param({"HTTP_REFERER": "https://" + ENDLESS}, id="referrer without end"),
        pytest.param({"HTTP_REFERER": "https://" + "@" * 20_000}, id="referrer of at signs"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "1.2.3.4," * 20_000}, id="forwarded for without end"),
        pytest.param({"HTTP_ACCEPT_LANGUAGE": ENDLESS}, id="language without end"),
        pytest.param({"HTTP_TRACEPARENT": ENDLESS}, id="traceparent without end"),
        pytest.param({"HTTP_USER_AGENT": "a\0b"}, id="NUL in the user agent"),
        pytest.param({"PATH_INFO": "/a\0b"}, id="NUL in the path"),
        pytest.param({"HTTP_USER_AGENT": "\xff\xfe"}, id="latin-1 user agent"),
        pytest.param({"PATH_INFO": "/caf\xe9"}, id="latin-1 path"),
        pytest.param({"PATH_INFO": "/caf\xc3\xa9"}, id="UTF-8 path"),
        pytest.param({"QUERY_STRING": "q=\xff"}, id="latin-1 query"),
        pytest.param({"HTTP_REFERER": "https://\xff/\xff"}, id="latin-1 referrer"),
        pytest.param({"HTTP_ACCEPT_LANGUAGE": "\xff,;"}, id="latin-1 language"),
        pytest.param({"HTTP_USER_AGENT": "\udcff\ud800"}, id="lone surrogates"),
        pytest.param({"HTTP_HOST": "[::1"}, id="half a host"),
        pytest.param({"HTTP_HOST": "a" * 100_000}, id="an endless host"),
        pytest.param({"REQUEST_METHOD": "G" * 10_000}, id="an endless method"),
        pytest.param({"REMOTE_ADDR": ""}, id="no peer"),
        pytest.param({"REMOTE_ADDR": "unix:/run/app.sock"}, id="a socket for a peer"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "\udcff, \0"}, id="no valid forwarded for"),
    ],
)
@pytest.mark.parametrize("with_contrib", [True, False], ids=["with contrib", "without"])
def test_whatever_comes_is_kept_bounded_and_the_answer_stays(
    tracking: Tracking, environ: dict[str, Any], with_contrib: bool
) -> None:
    untracked = ask(environ)
    tracking.start(trusted_proxies="1")
    if with_contrib:
        FlaskInstrumentor().instrument()

    answer = ask(environ)

    assert answer == untracked
    event = tracking.request()
    for key in (names.PATH, names.USER_AGENT, names.QUERY, names.REFERRER_URL, names.HOST, names.METHOD):
        value = str(event.attributes.get(key, ""))
        assert len(value) <= 2048
        value.encode()
    assert all(len(column) == 1 for column in to_columns([event]))
    ours = event._replace(
        attributes={
            key: value
            for key, value in event.attributes.items()
            if not key.startswith("http.") or key in _OURS
        }
    )
    assert OtlpExporter("http://localhost:1").freeze([ours], "t").payload
    assert to_span(ours).name == "request"


_OURS = {names.METHOD, names.STATUS_CODE, names.ROUTE, names.RESPONSE_SIZE}


def ask(environ: dict[str, Any]) -> tuple[int, bytes]:
    response = build_app().test_client().get("/", environ_overrides=environ)
    return response.status_code, response.data


def test_a_path_in_utf_8_is_kept_as_text(tracking: Tracking) -> None:
    tracking.start()

    build_app().test_client().get("/café/漢")

    assert tracking.request().attributes[names.PATH] == "/café/漢"


def test_a_path_in_latin_1_is_kept_with_a_mark_for_each_odd_byte(tracking: Tracking) -> None:
    tracking.start()

    build_app().test_client().get("/", environ_overrides={"PATH_INFO": "/caf\xe9"})

    assert tracking.request().attributes[names.PATH] == "/caf\ufffd"


def test_no_log_line_holds_what_a_client_sent(tracking: Tracking, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    tracking.start(trusted_proxies="1")

    build_app().test_client().get(
        "/my-secret-path?my-secret-query",
        headers={"User-Agent": "my-secret-agent", "X-Forwarded-For": "203.0.113.77", "Cookie": "my=secret"},
    )
    tracking.events()

    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("otel_usage"))
    assert "my-secret" not in ours
    assert "203.0.113.77" not in ours
