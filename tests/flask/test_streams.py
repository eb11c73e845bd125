"""The bytes of a stream are known when it closes: an event of their own says how many were sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flask
import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.flask import exclude
from tests.builders import insert_events
from tests.tracking import Tracking


def build_app(body: Callable[[], Iterable[Any]] = lambda: iter(["ab", b"cd", "é"])) -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.route("/stream", methods=["GET", "POST"])
    def stream() -> flask.Response:
        return flask.Response(body())

    app.add_url_rule("/plain", "plain", lambda: "plain")
    return app


def bytes_sent(tracking: Tracking, name: str) -> list[object]:
    return [event.attributes.get(names.RESPONSE_SIZE) for event in tracking.events(name)]


@pytest.mark.parametrize("with_contrib", [True, False], ids=["with contrib", "without"])
def test_a_stream_is_an_event_with_its_bytes_when_it_closes(tracking: Tracking, with_contrib: bool) -> None:
    tracking.start()
    if with_contrib:
        FlaskInstrumentor().instrument()

    response = build_app().test_client().get("/stream", buffered=True)

    assert response.data == "abcdé".encode()
    request, sent = tracking.request(), tracking.events("response_sent")[0]
    assert bytes_sent(tracking, "request") == [None]
    assert bytes_sent(tracking, "response_sent") == [6]
    assert sent.duration_ns == 0
    assert sent.timestamp_ns >= request.timestamp_ns + request.duration_ns or with_contrib
    assert sent.parent_span_id == request.span_id
    for inherited in (names.VISIT_KEY, names.VISITOR_ID, names.CLIENT_ADDRESS, names.USER_AGENT):
        assert sent.attributes[inherited] == request.attributes[inherited]


def test_a_plain_response_has_its_bytes_on_the_request_alone(tracking: Tracking) -> None:
    tracking.start()

    build_app().test_client().get("/plain")

    assert bytes_sent(tracking, "request") == [5]
    assert tracking.events("response_sent") == []


def test_a_stream_of_known_length_has_it_on_the_request_alone(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.add_url_rule(
        "/known", "known", lambda: flask.Response(iter([b"abc"]), headers={"Content-Length": "3"})
    )

    assert app.test_client().get("/known", buffered=True).data == b"abc"

    assert bytes_sent(tracking, "request") == [3]
    assert tracking.events("response_sent") == []


def test_a_file_is_left_to_the_server(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.add_url_rule("/file", "file", lambda: flask.send_file(__file__))

    with app.test_client().get("/file") as response:
        assert response.data

    assert bytes_sent(tracking, "request") == [len(response.data)]
    assert tracking.events("response_sent") == []


def test_a_client_that_leaves_is_counted_as_far_as_it_came(tracking: Tracking) -> None:
    tracking.start()

    response = build_app().test_client().get("/stream")
    parts = iter(response.response)
    next(parts)
    response.close()

    assert bytes_sent(tracking, "response_sent") == [2]


def test_a_stream_that_breaks_is_counted_as_far_as_it_came(tracking: Tracking) -> None:
    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise RuntimeError("of the app")

    tracking.start()

    with pytest.raises(RuntimeError), build_app(broken).test_client().get("/stream") as response:
        assert response.data

    assert bytes_sent(tracking, "response_sent") == [3]


def test_head_sends_nothing_and_closes_the_body(tracking: Tracking) -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"abc"])

        def close(self) -> None:
            closed.append(True)

    tracking.start()

    build_app(Body).test_client().head("/stream", buffered=True)

    assert bytes_sent(tracking, "response_sent") == [0]
    assert closed == [True]


def test_a_response_that_the_app_sends_again_is_whole_each_time(tracking: Tracking) -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"abc"])

    tracking.start()
    app = build_app()
    shared = flask.Response(Body())
    app.add_url_rule("/shared", "shared", lambda: shared)

    answers = [app.test_client().get("/shared", buffered=True).data for _ in range(3)]

    assert answers == [b"abc"] * 3
    assert bytes_sent(tracking, "response_sent") == [3, 3, 3]


def test_a_response_that_is_closed_twice_is_counted_once(tracking: Tracking) -> None:
    tracking.start()

    response = build_app().test_client().get("/stream", buffered=True)
    response.close()
    response.close()

    assert bytes_sent(tracking, "response_sent") == [6]


def test_an_excluded_stream_is_not_touched(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    body = iter([b"abc"])
    app.add_url_rule("/quiet", "quiet", exclude(lambda: flask.Response(body)))

    response = app.test_client().get("/quiet")

    assert response.data == b"abc"
    assert tracking.events() == []


def test_the_bytes_of_all_rows_add_up(tracking: Tracking, usage: ClickHouse) -> None:
    tracking.start()
    client = build_app().test_client()
    for path in ("/stream", "/plain", "/stream"):
        client.get(path, buffered=True)

    insert_events(usage, tracking.events())

    assert usage.query("SELECT sum(bytes_sent) FROM events").rows[0][0] == 6 + 5 + 6
