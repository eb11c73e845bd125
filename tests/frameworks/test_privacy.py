"""What a visitor asks for, and what the address policy says, holds in every framework."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_usage import attributes as names
from tests.frameworks.conftest import instrument_contrib
from tests.frameworks.shops import BROWSER, Shop, our_cookies
from tests.tracking import Tracking
from tests.visits.cookieless_managers import runtime_directory

__all__ = ["runtime_directory"]

IDENTITY = {names.VISIT_KEY, names.VISITOR_ID, names.VISIT_IS_NEW, names.USER_ID}
PEER = "10.0.0.1"
CLIENT = "203.0.113.77"


@pytest.mark.parametrize("headers", [{"Sec-GPC": "1"}, {"DNT": "1"}], ids=["GPC", "DNT"])
@pytest.mark.parametrize("path", ["/events/", "/stream/", "/nowhere/", "/broken/"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
def test_nothing_tells_who_opted_out(
    tracking: Tracking, start: Callable[..., None], shop: Shop, headers: dict[str, str], path: str
) -> None:
    start(user=lambda request: "ann", basic_auth_users=True)
    browser = shop.browser()
    browser.get("/")
    known = len(tracking.events())

    response = browser.get(path, headers=headers, auth=("ann", "x"), buffered=True)

    assert our_cookies(response) == []
    events = tracking.events()[known:]
    assert [event.name for event in events if event.name == "request"] == ["request"]
    for event in events:
        assert not IDENTITY & event.attributes.keys()


@pytest.mark.parametrize("manager", ["cookie", "cookieless", "session", "sqlalchemy"])
def test_every_visit_manager_respects_a_signal(
    tracking: Tracking, shop: Shop, runtime_directory: Path, tmp_path: Path, manager: str
) -> None:
    tracking.start(visit_manager=manager, visit_database=f"sqlite:///{tmp_path}/visits.db")

    response = shop.get("/visit/", headers={"Sec-GPC": "1"})

    assert response.text == "False ''"
    assert "Set-Cookie" not in response.headers
    assert not IDENTITY & tracking.request().attributes.keys()


def by_cookie(request: Any) -> bool | None:
    """Return what the visitor said to the app's banner; both frameworks call their cookies differently."""
    cookies = request.COOKIES if hasattr(request, "COOKIES") else request.cookies
    answer = cookies.get("agreed")
    return None if answer is None else answer == "yes"


@pytest.mark.parametrize(("answer", "is_followed"), [("yes", True), ("no", False), (None, False)])
def test_only_who_agreed_is_followed(
    tracking: Tracking, shop: Shop, answer: str | None, is_followed: bool
) -> None:
    tracking.start(consent=by_cookie)
    browser = shop.browser()
    if answer is not None:
        browser.set_cookie("agreed", answer)

    response = browser.get("/visit/")

    assert response.text == f"{is_followed} ''"
    assert bool(our_cookies(response)) == is_followed
    assert bool(IDENTITY & tracking.request().attributes.keys()) == is_followed


def test_who_refuses_later_loses_the_cookie(tracking: Tracking, shop: Shop) -> None:
    tracking.start(consent=by_cookie)
    browser = shop.browser()
    browser.set_cookie("agreed", "yes")
    browser.get("/")
    browser.set_cookie("agreed", "no")

    (cookie,) = our_cookies(browser.get("/"))

    assert cookie.startswith("otel_usage_visit=;") or cookie.startswith('otel_usage_visit="";')
    assert "Max-Age=0" in cookie
    assert browser.get_cookie("otel_usage_visit") is None


def ask(shop: Shop, **environ: str) -> None:
    """Ask behind a proxy, with a secret in each place where one may be."""
    shop.get(
        "/named/a%20b?token=hunter2&page=2",
        headers={
            "User-Agent": BROWSER,
            "Referer": "https://me:pw@news.example/story?token=abc",
            "Accept-Language": "de-CH,de;q=0.9",
            "X-Forwarded-For": CLIENT,
            "Authorization": "Bearer secret",
        },
        environ_overrides={"REMOTE_ADDR": PEER, **environ},
    )


EXPECTED: dict[str, object] = {
    names.EVENT_NAME: "request",
    names.CLIENT_ADDRESS: CLIENT,
    names.PEER_ADDRESS: PEER,
    names.FORWARDED_FOR: CLIENT,
    names.USER_AGENT: BROWSER,
    names.METHOD: "GET",
    names.STATUS_CODE: 200,
    names.SCHEME: "http",
    names.HOST: "localhost",
    names.PATH: "/named/a b",
    names.QUERY: "token=REDACTED&page=2",
    names.REFERRER_URL: "https://news.example/story?token=REDACTED",
    names.LANGUAGE: "de-CH",
    names.HAS_AUTHORIZATION: True,
    names.VISIT_IS_NEW: True,
    names.RESPONSE_SIZE: 2,
    names.VIEW_ARGUMENT_PREFIX + "rest": "a b",
}
SET_BY_THE_WORKER = {
    names.BROWSER,
    names.BROWSER_VERSION,
    names.OS,
    names.DEVICE_TYPE,
    names.REFERRER_DOMAIN,
}


def test_an_event_tells_the_same_in_every_framework(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start(trusted_proxies="10.0.0.0/8")

    ask(shop)

    attributes = dict(tracking.request().attributes)
    assert len(str(attributes.pop(names.VISIT_KEY))) == len(str(attributes.pop(names.VISITOR_ID))) == 32
    assert str(attributes.pop(names.ROUTE)).removeprefix("/") == "named/<path:rest>"
    attributes.pop(names.ENDPOINT, None)  # a name that Flask's routes always have
    assert {name: attributes.get(name) for name in EXPECTED} == EXPECTED
    ours = {name for name in vars(names).values() if isinstance(name, str)}
    assert attributes.keys() & ours - EXPECTED.keys() == SET_BY_THE_WORKER


@pytest.fixture(params=["", "http", "http/dup"], ids=["old names", "new names", "both names"])
def conventions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """contrib writes HTTP attributes under old names, new ones, or both."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", request.param)


@pytest.mark.usefixtures("conventions")
@pytest.mark.parametrize(("policy", "kept"), [("masked", "203.0.113.0"), ("hashed", ""), ("off", "")])
def test_a_policy_leaves_no_full_address_on_any_span(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, shop: Shop, policy: str, kept: str
) -> None:
    monkeypatch.setenv(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "X-Forwarded-For,X-Real-IP"
    )
    tracking.start(trusted_proxies="10.0.0.0/8", ip=policy)
    instrument_contrib()

    ask(shop, HTTP_X_REAL_IP=CLIENT)

    attributes = tracking.request().attributes
    assert attributes[names.CLIENT_ADDRESS] == attributes[names.PEER_ADDRESS] == kept
    assert (names.CLIENT_ADDRESS_HASH in attributes) == (policy == "hashed")
    assert tracking.spans()
    for span in tracking.spans():
        assert CLIENT not in repr(dict(span.attributes or {}))
        assert PEER not in repr(dict(span.attributes or {}))


@pytest.mark.usefixtures("conventions")
def test_no_secret_of_a_url_stays_on_any_span(tracking: Tracking, shop: Shop) -> None:
    tracking.start()
    instrument_contrib()

    ask(shop, REQUEST_URI="/named/a?token=hunter2", RAW_URI="/named/a?token=hunter2")

    assert tracking.spans()
    for span in tracking.spans():
        for secret in ("hunter2", "Bearer", "me:pw"):
            assert secret not in repr(dict(span.attributes or {}))


@pytest.mark.parametrize(
    ("header", "trusted", "client"),
    [
        ("203.0.113.7", "", PEER),
        ("203.0.113.7", "192.0.2.0/24", PEER),
        ("203.0.113.7", PEER, "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7, 10.0.0.2", "10.0.0.0/8", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", "1", "203.0.113.7"),
        ("2001:db8::17", PEER, "2001:db8::17"),
        ("unknown", PEER, PEER),
        ("", PEER, PEER),
    ],
)
def test_the_address_is_believed_from_trusted_proxies_only(
    tracking: Tracking, shop: Shop, header: str, trusted: str, client: str
) -> None:
    tracking.start(trusted_proxies=trusted)

    shop.get("/", headers={"X-Forwarded-For": header}, environ_overrides={"REMOTE_ADDR": PEER})

    assert tracking.request().attributes[names.CLIENT_ADDRESS] == client


def test_no_log_line_holds_what_a_client_sent(
    tracking: Tracking, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    tracking.start(trusted_proxies="1")

    shop.get(
        "/my-secret-path/?my-secret-query",
        headers={"User-Agent": "my-secret-agent", "X-Forwarded-For": CLIENT, "Cookie": "my=my-secret"},
    )
    tracking.events()

    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("otel_usage"))
    assert "my-secret" not in ours
    assert CLIENT not in ours
