"""What the senders send arrives whole and in order; what fails is told."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from werkzeug import Request, Response

from otel_usage.demo.access_log import LoggedRequest
from otel_usage.demo.agents import BROWSERS
from otel_usage.demo.log_sender import LogSender
from otel_usage.demo.sender import VisitorSender
from otel_usage.demo.visitors import FOLLOW, PlannedRequest, Visitor
from tests.ports import free_port

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

AGENT = BROWSERS[0][0]
TIMEOUT_SECONDS = 0.2
SLOW_SECONDS = 0.2


class Recorder:
    """A site that remembers what it was asked for, and sets a cookie that counts the answers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        self.requests.append(request)
        if request.path == "/slow":
            threading.Event().wait(SLOW_SECONDS)
        if request.path == "/away":
            response = Response(status=302, headers={"Location": "/found"})
        else:
            response = Response("here", 404 if request.path == "/missing" else 200)
        response.set_cookie("seen", str(int(request.cookies.get("seen", 0)) + 1))
        return response(environ, start_response)

    def header(self, name: str) -> list[str | None]:
        return [request.headers.get(name) for request in self.requests]


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Recorder:
    return Recorder()


@pytest.fixture
def server(site: Recorder) -> Iterator[WSGIServer]:
    with make_server("127.0.0.1", 0, site, handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def build_sender(server: WSGIServer) -> VisitorSender:
    return VisitorSender("127.0.0.1", server.server_port, visit_timeout_seconds=TIMEOUT_SECONDS)


def build_request(target: str, *, status: int = 200, method: str = "GET") -> PlannedRequest:
    return PlannedRequest(
        method, target, "", status, "192.0.2.1", "192.0.2.1", referrer="https://example.org/"
    )


def build_visitor(
    *visits: tuple[PlannedRequest, ...], keeps_cookies: bool = True, opts_out: bool = False
) -> Visitor:
    return Visitor(AGENT, "en", keeps_cookies, opts_out, visits)


def build_logged(path: str, *, client: str = "192.0.2.1", agent: str = "a") -> LoggedRequest:
    return LoggedRequest("GET", path, client, "https://example.org/\xe4", agent)


def test_a_visit_is_sent_in_order_with_its_cookies_and_referrers(server: WSGIServer, site: Recorder) -> None:
    visit = tuple(build_request(f"/{number}") for number in range(4))

    report = build_sender(server).send([build_visitor(visit)])

    assert (report.sent, report.failed) == (4, 0)
    assert [request.path for request in site.requests] == ["/0", "/1", "/2", "/3"]
    assert [request.cookies.get("seen") for request in site.requests] == [None, "1", "2", "3"]
    home = f"http://127.0.0.1:{server.server_port}"
    assert site.header("Referer") == ["https://example.org/", f"{home}/0", f"{home}/1", f"{home}/2"]


def test_every_request_says_who_comes_from_where(server: WSGIServer, site: Recorder) -> None:
    build_sender(server).send([build_visitor((build_request("/"),), opts_out=True)])

    assert site.header("User-Agent") == [AGENT.text]
    assert site.header("X-Forwarded-For") == ["192.0.2.1"]
    assert site.header("Sec-GPC") == ["1"]


def test_a_visitor_who_refuses_cookies_sends_none(server: WSGIServer, site: Recorder) -> None:
    build_sender(server).send([build_visitor((build_request("/"), build_request("/")), keeps_cookies=False)])

    assert site.header("Cookie") == [None, None]


def test_a_returning_visitor_waits_and_brings_the_cookies(server: WSGIServer, site: Recorder) -> None:
    first, second = (build_request("/first"),), (build_request("/second"),)

    report = build_sender(server).send([build_visitor(first, second)])

    assert [request.cookies.get("seen") for request in site.requests] == [None, "1"]
    assert report.longest_pause_seconds == 0.0


def test_the_pause_of_a_visit_is_as_long_as_the_shop_may_have_seen_it(
    server: WSGIServer, site: Recorder
) -> None:
    report = build_sender(server).send([build_visitor((build_request("/"), build_request("/slow")))])

    assert report.longest_pause_seconds >= SLOW_SECONDS


def test_a_redirect_is_followed_where_the_plan_says_so(server: WSGIServer, site: Recorder) -> None:
    visit = (build_request("/away", status=302), build_request(FOLLOW))

    report = build_sender(server).send([build_visitor(visit)])

    assert report.failed == 0
    assert [request.path for request in site.requests] == ["/away", "/found"]


def test_another_status_than_planned_is_told(server: WSGIServer) -> None:
    report = build_sender(server).send([build_visitor((build_request("/missing"),))])

    assert (report.sent, report.failed) == (1, 1)
    assert report.problems == ["GET /missing: answered 404, planned 200"]


def test_a_redirect_that_did_not_come_is_told(server: WSGIServer) -> None:
    report = build_sender(server).send([build_visitor((build_request("/"), build_request(FOLLOW)))])

    assert (report.sent, report.failed) == (1, 1)
    assert report.problems == ["GET the redirect of the answer before: there was no redirect"]


def test_a_shop_that_is_gone_is_told_for_every_request() -> None:
    sender = VisitorSender("127.0.0.1", free_port(), visit_timeout_seconds=TIMEOUT_SECONDS)

    report = sender.send([build_visitor((build_request("/a"), build_request("/b")))])

    assert (report.sent, report.failed) == (0, 2)
    assert "GET /a: no answer (ConnectionRefusedError" in report.problems[0]


def test_each_request_moves_the_progress(server: WSGIServer) -> None:
    steps: list[int] = []
    sender = VisitorSender(
        "127.0.0.1", server.server_port, visit_timeout_seconds=TIMEOUT_SECONDS, on_progress=steps.append
    )

    sender.send([build_visitor((build_request("/"), build_request("/missing")))])

    assert steps == [1, 1]


def test_a_log_is_sent_in_order_per_client(server: WSGIServer, site: Recorder) -> None:
    clients = [f"192.0.2.{number}" for number in range(1, 6)]
    requests = [build_logged(f"/{step}", client=client) for step in range(20) for client in clients]

    report = LogSender("127.0.0.1", server.server_port).send(requests)

    assert report.sent == 100
    assert report.requests_by_address == dict.fromkeys(clients, 20)
    for client in clients:
        paths = [each.path for each in site.requests if each.headers["X-Forwarded-For"] == client]
        assert paths == [f"/{step}" for step in range(20)]


def test_a_log_request_is_counted_by_what_came_back(server: WSGIServer) -> None:
    report = LogSender("127.0.0.1", server.server_port).send([build_logged("/missing"), build_logged("/")])

    assert report.requests_by_status == {404: 1, 200: 1}
    assert report.failed == 0


def test_bytes_of_a_logged_header_arrive_as_they_were(server: WSGIServer, site: Recorder) -> None:
    LogSender("127.0.0.1", server.server_port).send([build_logged("/", agent="caf\xc3\xa9")])

    assert site.requests[0].environ["HTTP_USER_AGENT"] == "caf\xc3\xa9"


def test_a_log_replayed_to_nobody_fails_and_ends() -> None:
    report = LogSender("127.0.0.1", free_port()).send([build_logged("/")] * 500)

    assert (report.sent, report.failed) == (0, 500)
    assert len(report.problems) == 20
