"""Visits of real requests: the same cookie, with the same life, in every framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from otel_usage import attributes as names
from tests.frameworks.shops import BROWSER, DJANGO_WSGI, Shop, our_cookies
from tests.tracking import Tracking
from tests.visits.cookieless_managers import runtime_directory

__all__ = ["runtime_directory"]

MANAGERS = ["cookie", "cookieless", "session", "sqlalchemy"]


def cookie_of(response: TestResponse) -> Morsel[str]:
    """Return our one cookie, as a browser reads it."""
    (text,) = our_cookies(response)
    (morsel,) = SimpleCookie(text).values()
    return morsel


def keys(tracking: Tracking) -> list[object]:
    return [event.attributes.get(names.VISIT_KEY) for event in tracking.events("request")]


def are_new(tracking: Tracking) -> list[object]:
    return [event.attributes.get(names.VISIT_IS_NEW) for event in tracking.events("request")]


@pytest.fixture
def followed(tracking: Tracking, runtime_directory: Path, tmp_path: Path) -> Callable[..., None]:
    """Start tracking with a visit manager."""

    def start(manager: str, **settings: Any) -> None:
        database = f"sqlite:///{tmp_path}/visits.db"
        tracking.start(visit_manager=manager, visit_database=database, **settings)

    return start


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.usefixtures("site")
def test_every_manager_keeps_a_visitors_requests_together(
    tracking: Tracking, followed: Callable[..., None], shop: Shop, manager: str
) -> None:
    followed(manager)
    browser = shop.browser()

    seen = [browser.get("/visit/").text for _ in range(3)]

    assert seen == ["True ''"] * 3
    assert len(set(keys(tracking))) == 1
    assert are_new(tracking) == [True, False, False]


def test_a_visit_continues_in_every_way_of_tracing(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start()
    browser = shop.browser()

    sent = [our_cookies(browser.get(path)) for path in ("/item/7/", "/async-item/7/", "/nowhere/")]

    assert [len(cookies) for cookies in sent] == [1, 0, 0]
    assert len(set(keys(tracking))) == 1
    assert are_new(tracking) == [True, False, False]


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
    ],
)
def test_the_cookie_has_what_the_settings_say(
    tracking: Tracking, shop: Shop, settings: dict[str, Any], attribute: str, value: object
) -> None:
    tracking.start(**settings)

    assert cookie_of(shop.get("/"))[attribute] == value


def test_the_cookie_has_the_same_attributes_in_every_framework(tracking: Tracking, shop: Shop) -> None:
    tracking.start(cookie_domain=".shop.example", cookie_permanent=True, visitor_lifetime_days=0)

    (text,) = our_cookies(shop.get("/"))

    value, *attributes = text.split("; ")
    assert value.startswith("otel_usage_visit=")
    assert sorted(part.partition("=")[0].lower() for part in attributes) == [
        "domain",
        "expires",
        "httponly",
        "max-age",
        "path",
        "samesite",
    ]


def test_a_cookie_of_one_framework_continues_in_another(tracking: Tracking, shop: Shop) -> None:
    tracking.start()
    cookie = cookie_of(DJANGO_WSGI.get("/"))

    shop.browser(use_cookies=False).get("/", headers={"Cookie": f"{cookie.key}={cookie.value}"})

    assert len(set(keys(tracking))) == 1


@pytest.mark.parametrize(
    ("cache_control", "allowed"),
    [
        ("public", False),
        ("Public, max-age=60", False),
        ("max-age=60, s-maxage=600", False),
        ("S-MaxAge=600", False),
        ("private", True),
        ("no-store", True),
        ("max-age=60", True),
    ],
)
def test_a_response_that_shared_caches_keep_gets_no_cookie(
    tracking: Tracking, shop: Shop, cache_control: str, allowed: bool
) -> None:
    tracking.start()

    response = shop.get("/headers/", query_string={"Cache-Control": cache_control})

    assert response.headers["Cache-Control"] == cache_control
    assert bool(our_cookies(response)) == allowed
    assert keys(tracking) != [None]


@pytest.mark.parametrize(
    ("base_url", "proto", "proxies", "secure"),
    [
        ("https://localhost", "", "", True),
        ("http://localhost", "", "", False),
        ("http://localhost", "https", "", False),
        ("http://localhost", "https", "127.0.0.1", True),
        ("http://localhost", "http", "127.0.0.1", False),
        ("http://localhost", "https", "10.0.0.0/8", False),
    ],
)
def test_secure_is_set_where_the_visitor_came_by_https(
    tracking: Tracking, shop: Shop, base_url: str, proto: str, proxies: str, secure: bool
) -> None:
    tracking.start(trusted_proxies=proxies)

    response = shop.get("/", base_url=base_url, headers={"X-Forwarded-Proto": proto})

    assert bool(cookie_of(response)["secure"]) == secure


def test_the_apps_own_cookies_stay(tracking: Tracking, shop: Shop) -> None:
    tracking.start()

    response = shop.get("/theme/")

    assert sorted(text.strip().partition("=")[0] for text in response.headers.getlist("Set-Cookie")) == [
        "otel_usage_visit",
        "theme",
    ]


@pytest.mark.parametrize("sources", ["form", "form,cookie", "cookie,form"])
def test_a_client_without_cookies_goes_on_by_a_link(tracking: Tracking, shop: Shop, sources: str) -> None:
    tracking.start(visit_sources=sources)
    browser = shop.browser(use_cookies=False)

    for _ in range(3):
        ticket = _ticket(browser.get("/visit/"))
        browser.get("/visit/", query_string={"otel_usage_visit": ticket})

    assert are_new(tracking) == [True, False] * 3
    assert [len({first, second}) for first, second in _pairs(keys(tracking))] == [1, 1, 1]


def _ticket(response: TestResponse) -> str:
    return response.text.rpartition(" ")[2].strip("'")


def _pairs(values: list[object]) -> Iterator[tuple[object, object]]:
    return zip(values[::2], values[1::2], strict=True)


@pytest.mark.parametrize("body", [b"a=1&b=%C3%A9&a=2", b"\xff\x00=\xfe&&&===", b"a=1&" * 5000, b""])
def test_a_client_without_cookies_goes_on_by_a_form_and_the_view_reads_its_body_whole(
    tracking: Tracking, shop: Shop, body: bytes
) -> None:
    tracking.start(visit_sources="form")
    browser = shop.browser(use_cookies=False)
    ticket = _ticket(browser.get("/visit/"))
    sent = f"otel_usage_visit={ticket}&".encode() + body

    response = browser.post("/form/", data=sent, content_type="application/x-www-form-urlencoded")

    assert response.data == sent
    assert len(set(keys(tracking))) == (1 if len(body) < 1000 else 2)  # a form of very many fields is no form


def test_with_forms_alone_no_cookie_is_set(tracking: Tracking, shop: Shop) -> None:
    tracking.start(visit_sources="form")

    assert our_cookies(shop.get("/")) == []


@pytest.mark.parametrize(
    ("headers", "is_visit"),
    [
        ({"User-Agent": "python-requests/2.32"}, False),
        ({"User-Agent": "python-requests/2.32", "Cookie": "theme=dark"}, True),
        ({"User-Agent": BROWSER}, True),
        ({}, False),
    ],
)
def test_a_call_from_service_to_service_is_no_visit(
    tracking: Tracking, shop: Shop, headers: dict[str, str], is_visit: bool
) -> None:
    tracking.start()
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    shop.browser(use_cookies=False).get("/", headers={**headers, "traceparent": traceparent})

    assert (keys(tracking) != [None]) == is_visit
    assert tracking.request().trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"


def test_without_a_manager_requests_count_and_no_cookie_is_set(tracking: Tracking, shop: Shop) -> None:
    tracking.start(visit_manager="none")

    assert our_cookies(shop.get("/")) == []
    assert keys(tracking) == [None]


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_prefetch_opens_no_visit_and_sets_no_cookie(
    tracking: Tracking, followed: Callable[..., None], shop: Shop, manager: str
) -> None:
    followed(manager)
    browser = shop.browser()

    response = browser.get("/visit/", headers={"Sec-Purpose": "prefetch;prerender"})

    assert response.text == "False ''"
    assert our_cookies(response) == []
    assert keys(tracking) == [None]
    assert tracking.request().attributes[names.PROPERTY_PREFIX + "purpose"] == "prerender"
