"""Visits of real Flask requests: by cookie, by form, in the session, in a database, and by nobody at all."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http.cookies import Morsel, SimpleCookie
from io import BytesIO
from typing import Any

import flask
import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

import otel_usage
from otel_usage import attributes as names
from otel_usage import wiring
from otel_usage.settings import Settings
from otel_usage.visits.cookie import CookieVisitManager
from otel_usage.visits.database import SqlalchemyVisitManager
from tests.tracking import Tracking
from tests.visits.databases import rows, visit_database

__all__ = ["visit_database"]

PARAMETER = "otel_usage_visit"


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.route("/", methods=["GET", "POST"])
    def home() -> str:
        return otel_usage.visit_ticket()

    @app.get("/login")
    def login() -> str:
        flask.session["user"] = "me"
        return ""

    @app.get("/clear")
    def clear() -> str:
        flask.session.clear()
        return ""

    return app


def cookie_of(response: TestResponse) -> Morsel[str]:
    """Return our one cookie, as a browser reads it."""
    (text,) = response.headers.getlist("Set-Cookie")
    (morsel,) = SimpleCookie(text).values()
    return morsel


def keys(tracking: Tracking) -> list[object]:
    return [event.attributes.get(names.VISIT_KEY) for event in tracking.events("request")]


def are_new(tracking: Tracking) -> list[object]:
    return [event.attributes.get(names.VISIT_IS_NEW) for event in tracking.events("request")]


# The cookie.


@pytest.mark.parametrize(
    ("settings", "attribute", "value"),
    [
        pytest.param({}, "httponly", True, id="HttpOnly always"),
        pytest.param({}, "samesite", "Lax", id="SameSite by default"),
        pytest.param({"cookie_samesite": "strict"}, "samesite", "Strict", id="SameSite"),
        pytest.param({}, "path", "/", id="path by default"),
        pytest.param({"cookie_path": "/shop"}, "path", "/shop", id="path"),
        pytest.param({}, "domain", "", id="no domain by default"),
        pytest.param({"cookie_domain": ".shop.example"}, "domain", ".shop.example", id="domain"),
        pytest.param({}, "secure", "", id="not Secure over HTTP"),
        pytest.param({"cookie_secure": "true"}, "secure", True, id="Secure"),
        pytest.param({}, "max-age", "31536000", id="a year by default"),
        pytest.param({"visitor_lifetime_days": 0}, "max-age", "", id="session cookie"),
        pytest.param({"visitor_lifetime_days": 0}, "expires", "", id="session cookie without Expires"),
    ],
)
def test_the_cookie_of_a_response_has_what_the_settings_say(
    tracking: Tracking, settings: dict[str, Any], attribute: str, value: object
) -> None:
    tracking.start(**settings)

    assert cookie_of(build_app().test_client().get("/"))[attribute] == value


def test_the_cookie_of_a_response_has_the_name_that_the_setting_says(tracking: Tracking) -> None:
    tracking.start(cookie_name="tg-visit")
    client = build_app().test_client()

    assert cookie_of(client.get("/")).key == "tg-visit"
    client.get("/")
    assert are_new(tracking) == [True, False]


def test_a_permanent_cookie_says_the_same_time_in_both_ways(tracking: Tracking) -> None:
    tracking.start(visitor_lifetime_days=0, cookie_permanent=True, visit_timeout_seconds=3000)

    before = int(time.time())
    cookie = cookie_of(build_app().test_client().get("/"))
    after = time.time()

    assert cookie["max-age"] == "3000"
    assert before <= parsedate_to_datetime(cookie["expires"]).timestamp() - 3000 <= after + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("cookie_name", "my visit"), ("cookie_domain", "localhost"), ("cookie_path", "shop")],
)
def test_a_setting_that_browsers_would_refuse_is_told_at_the_start_and_not_sent(
    tracking: Tracking, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start(**{name: value})

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(f"{name}= is {value!r}, expected ")
    cookie = cookie_of(build_app().test_client().get("/"))
    assert (cookie.key, cookie["domain"], cookie["path"]) == ("otel_usage_visit", "", "/")


def test_a_page_that_is_not_found_gets_the_cookie_too(tracking: Tracking) -> None:
    tracking.start()

    response = build_app().test_client().get("/nowhere")

    assert (response.status_code, cookie_of(response).key) == (404, "otel_usage_visit")


# Parallel first requests.


def first_requests(app: Flask) -> list[TestResponse]:
    """Send what a browser without a cookie sends for a page and its parts, all at once."""
    with ThreadPoolExecutor(8) as tabs:
        return list(tabs.map(lambda _: app.test_client().get("/"), range(8)))


def test_parallel_first_requests_open_a_visit_each_and_one_of_them_is_confirmed(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    last = cookie_of(first_requests(app)[-1])
    for _ in range(3):
        app.test_client(use_cookies=False).get("/", headers={"Cookie": f"{last.key}={last.value}"})

    assert len(set(keys(tracking)[:8])) == sum(map(bool, are_new(tracking))) == 8
    assert len(set(keys(tracking)[8:])) == 1
    assert set(keys(tracking)[8:]) < set(keys(tracking)[:8])


def test_with_a_database_parallel_first_requests_are_one_visit(
    tracking: Tracking, visit_database: str
) -> None:
    tracking.start(visit_manager="sqlalchemy", visit_database=visit_database)

    cookies = {cookie_of(response).value for response in first_requests(build_app())}

    assert len(set(keys(tracking))) == 1
    assert sorted(map(bool, are_new(tracking))) == [False] * 7 + [True]
    assert 1 <= len(cookies) <= 8
    assert len(rows(visit_database)) == 1


# Forms.


@pytest.mark.parametrize("sources", ["form", "form,cookie", "cookie,form"])
def test_a_client_without_cookies_goes_on_by_a_link(tracking: Tracking, sources: str) -> None:
    tracking.start(visit_sources=sources)
    client = build_app().test_client(use_cookies=False)
    ticket = client.get("/").text

    for _ in range(3):
        ticket = client.get("/", query_string={PARAMETER: ticket}).text

    assert len(set(keys(tracking))) == 1
    assert are_new(tracking) == [True, False, False, False]


def test_a_client_without_cookies_goes_on_by_a_form(tracking: Tracking) -> None:
    tracking.start(visit_sources="cookie,form", form_name="tg_visit")
    client = build_app().test_client(use_cookies=False)
    ticket = client.get("/").text

    client.post("/", data={"name": "Ada", "tg_visit": ticket})

    assert are_new(tracking) == [True, False]


def test_a_parameter_sent_twice_is_no_error(tracking: Tracking) -> None:
    tracking.start(visit_sources="form")
    client = build_app().test_client()
    ticket = client.get("/").text

    answers = [
        client.get(f"/?{PARAMETER}=a&{PARAMETER}=b"),
        client.get(f"/?{PARAMETER}={ticket}&{PARAMETER}={ticket}"),
        client.get(f"/?{PARAMETER}=a&{PARAMETER}={ticket}"),
    ]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert are_new(tracking) == [True, True, False, False]


def ticket_of_another(seconds_ago: float = 0.0, visit: str = "") -> str:
    """Return a ticket that a server with our secret gave out, so long ago."""
    manager = CookieVisitManager()
    manager.set_up(
        Settings.load({}, visit_sources="form"),
        "of the tests",
        clock_ms=lambda: int((time.time() - seconds_ago) * 1000),
    )
    return manager.ticket_for(manager.new_visit_with_key(visit or "ab" * 16))


def test_a_response_sends_the_cookie_again_when_its_expiry_must_slide(tracking: Tracking) -> None:
    tracking.start()
    old = ticket_of_another(seconds_ago=100)

    response = build_app().test_client(use_cookies=False).get("/", headers={"Cookie": f"{PARAMETER}={old}"})

    assert cookie_of(response).value != old
    assert (keys(tracking), are_new(tracking)) == (["ab" * 16], [False])


@pytest.mark.parametrize(("sources", "winner"), [("cookie,form", "cookie"), ("form,cookie", "form")])
def test_the_first_source_that_has_a_visit_wins(tracking: Tracking, sources: str, winner: str) -> None:
    tracking.start(visit_sources=sources)
    cookie = f"{PARAMETER}={ticket_of_another(visit='cc' * 16)}"

    build_app().test_client(use_cookies=False).get(
        f"/?{PARAMETER}={ticket_of_another(visit='ff' * 16)}", headers={"Cookie": cookie}
    )

    assert keys(tracking) == [{"cookie": "cc", "form": "ff"}[winner] * 16]


@pytest.mark.parametrize("rubbish", ["A" * 83, "tg-visit", "", "stale"])
@pytest.mark.parametrize("sources", ["cookie,form", "form,cookie"])
def test_the_next_source_is_tried_when_the_first_has_no_valid_ticket(
    tracking: Tracking, sources: str, rubbish: str
) -> None:
    tracking.start(visit_sources=sources)
    bad = ticket_of_another(seconds_ago=1300) if rubbish == "stale" else rubbish
    good = ticket_of_another(visit="dd" * 16)
    cookie, parameter = (bad, good) if sources.startswith("cookie") else (good, bad)

    build_app().test_client(use_cookies=False).get(
        "/", query_string={PARAMETER: parameter}, headers={"Cookie": f"{PARAMETER}={cookie}"}
    )

    assert keys(tracking) == ["dd" * 16]
    assert are_new(tracking) == [False]


def test_an_old_link_makes_nobody_the_same_visitor(tracking: Tracking) -> None:
    tracking.start(visit_sources="cookie,form")
    link = {PARAMETER: ticket_of_another(seconds_ago=1300)}

    for _ in range(2):
        build_app().test_client().get("/", query_string=link)

    assert len({event.attributes[names.VISITOR_ID] for event in tracking.events("request")}) == 2


def test_who_comes_by_a_link_and_takes_cookies_goes_on_by_the_cookie(tracking: Tracking) -> None:
    tracking.start(visit_sources="cookie,form")
    client = build_app().test_client()

    client.get("/", query_string={PARAMETER: ticket_of_another()})
    client.get("/")

    assert keys(tracking) == ["ab" * 16] * 2


def test_with_forms_alone_no_cookie_is_set_or_read(tracking: Tracking) -> None:
    tracking.start(visit_sources="form")

    cookie = f"{PARAMETER}={ticket_of_another()}"
    response = build_app().test_client(use_cookies=False).get("/", headers={"Cookie": cookie})

    assert "Set-Cookie" not in response.headers
    assert are_new(tracking) == [True]


def test_no_ticket_is_given_out_that_nobody_would_read(tracking: Tracking) -> None:
    tracking.start()

    assert otel_usage.visit_ticket() == ""
    assert build_app().test_client().get("/").text == ""


def test_who_opts_out_gets_no_ticket(tracking: Tracking) -> None:
    tracking.start(visit_sources="form")

    assert build_app().test_client().get("/", headers={"Sec-GPC": "1"}).text == ""


@pytest.mark.parametrize("form_name", ["otel_usage_visit", "tg.visit"])
def test_the_ticket_of_a_link_is_in_no_span(tracking: Tracking, form_name: str) -> None:
    FlaskInstrumentor().instrument()
    tracking.start(visit_sources="form", form_name=form_name)
    client, ticket = build_app().test_client(), ticket_of_another()
    url = f"/?a=1&{form_name}={ticket}&b=2"

    client.get(url, headers={"Referer": f"http://localhost{url}"})

    attributes = tracking.request().attributes
    assert attributes[names.QUERY] == f"a=1&{form_name}=REDACTED&b=2"
    assert attributes[names.REFERRER_URL] == f"http://localhost/?a=1&{form_name}=REDACTED&b=2"
    assert ticket not in str([span.attributes for span in tracking.spans()])


# Bodies.

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n'
BODIES: dict[str, dict[str, Any]] = {
    "form": {"data": b"a=1&b=%C3%A9&a=2", "content_type": URLENCODED},
    "form with charset": {"data": b"a=%E9", "content_type": f"{URLENCODED}; charset=latin-1"},
    "form of other bytes": {"data": b"\xff\x00=\xfe&&&===", "content_type": URLENCODED},
    "many fields": {"data": b"a=1&" * 5000, "content_type": URLENCODED},
    "huge form": {"data": b"a=" + b"1" * 100_000, "content_type": URLENCODED},
    "form above the app's limit": {"data": b"a=" + b"1" * 40_000, "content_type": URLENCODED},
    "empty form": {"data": b"", "content_type": URLENCODED},
    "json": {"data": b'{"a": 1}', "content_type": "application/json"},
    "json that says it is a form": {"data": b'{"a": 1}', "content_type": URLENCODED},
    "multipart": {"data": MULTIPART, "content_type": "multipart/form-data; boundary=b"},
    "text": {"data": b"a=1", "content_type": "text/plain"},
    "nothing": {},
}
READERS: dict[str, Callable[[], object]] = {
    "form": lambda: flask.request.form.to_dict(flat=False),
    "values": lambda: flask.request.values.to_dict(flat=False),
    "stream": lambda: flask.request.stream.read(),
    "lines of the stream": lambda: list(flask.request.stream),
    "data": lambda: flask.request.get_data(),
    "data, then form": lambda: (flask.request.get_data(), flask.request.form.to_dict(flat=False)),
    "form, then data": lambda: (flask.request.form.to_dict(flat=False), flask.request.get_data()),
    "json": lambda: flask.request.get_json(silent=True, force=True),
    "nothing": lambda: None,
}


class Pieces(BytesIO):
    """An input that hands out a few bytes at a time, and notes that it was read."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.was_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.was_read = True
        return super().read(7 if size is None or size < 0 else min(size, 7))


def app_that_reads(read: Callable[[], object]) -> Flask:
    app = flask.Flask("shop")
    app.config["MAX_CONTENT_LENGTH"] = 30_000

    @app.post("/")
    def view() -> str:
        if flask.request.content_length and flask.request.content_length > 50_000:
            flask.request.max_content_length = None
        return repr(read())

    return app


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("body", BODIES)
def test_a_view_reads_a_body_exactly_as_without_us(tracking: Tracking, body: str, reader: str) -> None:
    app = app_that_reads(READERS[reader])
    bare = app.test_client().post("/", **BODIES[body])

    tracking.start(visit_sources="form")
    tracked = app.test_client().post("/", **BODIES[body])

    assert (tracked.status_code, tracked.data) == (bare.status_code, bare.data)
    assert are_new(tracking) == [True]


@pytest.mark.parametrize("reader", READERS)
def test_a_body_that_comes_in_pieces_is_read_whole(tracking: Tracking, reader: str) -> None:
    app = app_that_reads(READERS[reader])
    ticket = f"a=1&{PARAMETER}={ticket_of_another()}".encode()
    whole: dict[str, Any] = {"data": ticket, "content_type": URLENCODED}
    bare = app.test_client().post("/", **whole)

    tracking.start(visit_sources="form")
    tracked = app.test_client().post("/", **whole, environ_overrides={"wsgi.input": Pieces(ticket)})

    assert tracked.data == bare.data
    assert keys(tracking) == ["ab" * 16]


@pytest.mark.parametrize(
    ("body", "environ"),
    [
        pytest.param("json", {}, id="json"),
        pytest.param("multipart", {}, id="multipart"),
        pytest.param("huge form", {}, id="huge"),
        pytest.param("form above the app's limit", {}, id="above the app's limit"),
        pytest.param("form", {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, id="chunked"),
        pytest.param("form", {"CONTENT_LENGTH": "many"}, id="of unknown length"),
        pytest.param("form", {"QUERY_STRING": "{ticket}"}, id="not needed"),
        pytest.param("form", {"HTTP_COOKIE": "{ticket}"}, id="not needed because of the cookie"),
    ],
)
def test_a_body_that_is_none_of_ours_is_not_touched(
    tracking: Tracking, body: str, environ: dict[str, Any]
) -> None:
    stream = Pieces(BODIES[body]["data"])
    ticket = f"{PARAMETER}={ticket_of_another()}"
    filled = {name: ticket if value == "{ticket}" else value for name, value in environ.items()}
    tracking.start(visit_sources="cookie,form")

    app_that_reads(lambda: None).test_client(use_cookies=False).post(
        "/", **BODIES[body], environ_overrides={**filled, "wsgi.input": stream}
    )

    assert not stream.was_read
    assert are_new(tracking) == ["{ticket}" not in environ.values()]


def test_a_body_whose_client_has_gone_is_the_views_trouble_as_before(tracking: Tracking) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    app = app_that_reads(READERS["data"])
    cut = {"content_type": URLENCODED, "data": b"a=1&b=2"}
    inputs: list[Callable[[], BytesIO]] = [lambda: BytesIO(b"a=1"), Broken]

    def ask() -> list[int]:
        return [
            app.test_client().post("/", **cut, environ_overrides={"wsgi.input": make()}).status_code
            for make in inputs
        ]

    bare = ask()
    tracking.start(visit_sources="form")

    assert ask() == bare
    assert are_new(tracking) == [True, True]


def test_a_form_that_arrives_slowly_is_waited_for_as_the_view_would(tracking: Tracking) -> None:
    tracking.start(visit_sources="form")
    app = app_that_reads(READERS["form"])
    body = f"a=1&{PARAMETER}={ticket_of_another()}".encode()
    head = f"POST / HTTP/1.0\r\nContent-Type: {URLENCODED}\r\nContent-Length: {len(body)}\r\n\r\n"
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    try:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as client:
            client.sendall(head.encode())
            for byte in body:
                client.sendall(bytes([byte]))
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()

    assert b"{'a': ['1']," in answer
    assert keys(tracking) == ["ab" * 16]


# The framework's session.


def test_the_session_holds_the_visit_and_no_cookie_of_ours_is_set(tracking: Tracking) -> None:
    tracking.start(visit_manager="session")
    client = build_app().test_client()

    first, second = client.get("/"), client.get("/")

    assert cookie_of(first).key == "session"
    assert "Set-Cookie" not in second.headers
    assert are_new(tracking) == [True, False]
    assert len(set(keys(tracking))) == 1


def test_the_apps_own_part_of_the_session_stays(tracking: Tracking) -> None:
    tracking.start(visit_manager="session")
    client = build_app().test_client()

    client.get("/login")
    client.get("/")

    with client.session_transaction() as session:
        assert sorted(session) == ["otel_usage_visit", "user"]
    assert are_new(tracking) == [True, False]


def test_an_app_without_sessions_has_no_visits_and_is_told_once(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start(visit_manager="session")
    app = build_app()
    app.secret_key = None

    response = app.test_client().get("/")

    assert (response.status_code, "Set-Cookie" in response.headers) == (200, False)
    assert keys(tracking) == [None]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "There is no session to keep the visit in, so there are no visits. In Flask, set SECRET_KEY; "
        "in Django, add SessionMiddleware"
    ]


def test_a_cookie_that_has_the_sessions_name_is_told_and_never_sent(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start(cookie_name="session")
    client = build_app().test_client()

    for path in ("/", "/login", "/"):
        client.get(path)

    cookie = client.get_cookie("session")
    assert cookie is not None
    assert cookie.value.startswith("eyJ")  # the app's own
    assert keys(tracking) == [None] * 3
    (message,) = (record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR)
    assert message.startswith("OTEL_USAGE_COOKIE_NAME is the name of the app's own session cookie")


@pytest.mark.parametrize(("scheme", "same_site"), [("http", "Lax"), ("https", "None")])
def test_a_cookie_for_other_sites_is_one_that_browsers_take(
    tracking: Tracking, scheme: str, same_site: str
) -> None:
    tracking.start(cookie_samesite="None")

    response = build_app().test_client().get("/", base_url=f"{scheme}://shop.example")

    assert cookie_of(response)["samesite"] == same_site
    assert bool(cookie_of(response)["secure"]) == (scheme == "https")


def test_an_app_that_clears_its_session_ends_the_visit(tracking: Tracking) -> None:
    tracking.start(visit_manager="session")
    client = build_app().test_client()

    for path in ("/", "/clear", "/"):
        client.get(path)

    assert are_new(tracking) == [True, False, True]


def test_who_opts_out_finds_nothing_in_the_session(tracking: Tracking) -> None:
    tracking.start(visit_manager="session")

    response = build_app().test_client().get("/", headers={"DNT": "1"})

    assert "Set-Cookie" not in response.headers
    assert keys(tracking) == [None]


# Managers that there are not.


@pytest.mark.parametrize(
    ("manager", "message"),
    [
        (
            "redis",
            "OTEL_USAGE_VISIT_MANAGER is 'redis', expected one of: cookie, cookieless, session, sqlalchemy; "
            "or a dotted path. Going on without visits.",
        ),
        (
            "sqlalchemy",
            "The sqlalchemy visit manager has no database. Set OTEL_USAGE_VISIT_DATABASE, for example to "
            "postgresql+psycopg://user:password@host/database. Going on without visits.",
        ),
        (
            "shop.no_such_module:Manager",
            "'shop.no_such_module:Manager' cannot be loaded: No module named 'shop'. Going on without visits.",
        ),
    ],
)
def test_without_a_manager_requests_count_and_no_cookie_is_set(
    tracking: Tracking, manager: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start(visit_manager=manager)
    client = build_app().test_client()

    responses = [client.get("/") for _ in range(3)]

    assert [record.getMessage() for record in caplog.records] == [message]
    assert all("Set-Cookie" not in response.headers for response in responses)
    assert keys(tracking) == [None] * 3


def test_an_unknown_manager_is_told_at_the_start(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start(visit_manager="redis")

    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_two_apps_share_the_visits_of_one_instance(tracking: Tracking, visit_database: str) -> None:
    tracking.start(visit_manager=SqlalchemyVisitManager(visit_database))
    first, second = build_app(), build_app()

    cookie = cookie_of(first.test_client().get("/"))
    second.test_client(use_cookies=False).get("/", headers={"Cookie": f"{cookie.key}={cookie.value}"})

    assert are_new(tracking) == [True, False]
    assert len(rows(visit_database)) == 1


def test_the_end_of_the_process_writes_what_the_managers_hold(
    tracking: Tracking, visit_database: str
) -> None:
    tracking.start(visit_manager="sqlalchemy", visit_database=visit_database)
    client = build_app().test_client()
    client.get("/")
    (before,) = rows(visit_database)
    client.get("/")

    wiring.shut_down()
    wiring.shut_down()

    (after,) = rows(visit_database)
    assert after["expiry"] > before["expiry"]
