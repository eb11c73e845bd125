"""What a hostile client may send: bounded, valid text comes out, and the answer stays, in every framework."""

from __future__ import annotations

from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.pipeline.rows import to_columns
from tests.frameworks.conftest import instrument_contrib
from tests.frameworks.shops import Plain, Shop, without_our_cookie
from tests.tracking import Tracking, untracked

ENDLESS = "x" * 200_000
"""More than any server lets through, and no more than the frameworks handle at once."""

HOSTILE = {
    "user agent without end": {"HTTP_USER_AGENT": ENDLESS},
    "path without end": {"PATH_INFO": "/named/" + ENDLESS},
    "query without end": {"QUERY_STRING": "q=" + ENDLESS},
    "very many parameters": {"QUERY_STRING": "&" * 20_000},
    "very many secrets": {"QUERY_STRING": "token=" * 20_000},
    "cookie without end": {"HTTP_COOKIE": "otel_usage_visit=" + ENDLESS},
    "cookie of rubbish": {"HTTP_COOKIE": 'otel_usage_visit="\\";;=\xff,'},
    "referrer without end": {"HTTP_REFERER": "https://" + ENDLESS},
    "referrer of at signs": {"HTTP_REFERER": "https://" + "@" * 20_000},
    "forwarded for without end": {"HTTP_X_FORWARDED_FOR": "1.2.3.4," * 20_000},
    "language without end": {"HTTP_ACCEPT_LANGUAGE": ENDLESS},
    "traceparent without end": {"HTTP_TRACEPARENT": ENDLESS},
    "NUL in the user agent": {"HTTP_USER_AGENT": "a\0b"},
    "NUL in the path": {"PATH_INFO": "/named/a\0b"},
    "latin-1 user agent": {"HTTP_USER_AGENT": "\xff\xfe"},
    "latin-1 path": {"PATH_INFO": "/named/caf\xe9"},
    "UTF-8 path": {"PATH_INFO": "/named/caf\xc3\xa9"},
    "latin-1 referrer": {"HTTP_REFERER": "https://\xff/\xff"},
    "latin-1 language": {"HTTP_ACCEPT_LANGUAGE": "\xff,;"},
    "half a host": {"HTTP_HOST": "[::1"},
    "no allowed host": {"HTTP_HOST": "evil.example"},
    "an endless host": {"HTTP_HOST": "a" * 100_000},
    "an endless method": {"REQUEST_METHOD": "G" * 10_000},
    "no peer": {"REMOTE_ADDR": ""},
    "a socket for a peer": {"REMOTE_ADDR": "unix:/run/app.sock"},
    "no valid forwarded for": {"HTTP_X_FORWARDED_FOR": "\xff, \0"},
    "no valid length": {"CONTENT_LENGTH": "0x10", "CONTENT_TYPE": "application/x-www-form-urlencoded"},
}


def ask(shop: Shop, environ: dict[str, Any]) -> Plain:
    return without_our_cookie(shop.browser(use_cookies=False).get("/named/x", environ_overrides=environ))


@pytest.mark.parametrize("environ", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("with_contrib", [True, False], ids=["with contrib", "without"])
def test_whatever_comes_is_kept_bounded_and_the_answer_stays(
    tracking: Tracking, shop: Shop, environ: dict[str, Any], with_contrib: bool
) -> None:
    with untracked():
        if with_contrib:
            instrument_contrib()
        bare = ask(shop, environ)
    tracking.start(trusted_proxies="1", visit_sources="cookie,form")
    if with_contrib:
        instrument_contrib()

    answer = ask(shop, environ)

    assert answer == bare
    event = tracking.request()
    assert event.attributes[names.STATUS_CODE] == answer.status
    for key in (names.PATH, names.USER_AGENT, names.QUERY, names.REFERRER_URL, names.HOST, names.METHOD):
        value = str(event.attributes.get(key, ""))
        assert len(value) <= 2048
        value.encode()
    assert all(len(column) == 1 for column in to_columns([event]))


def test_a_query_in_latin_1_is_kept_where_the_framework_takes_it(tracking: Tracking, shop: Shop) -> None:
    tracking.start()

    answer = ask(shop, {"QUERY_STRING": "q=\xff"})

    if shop.name == "Django ASGI":
        # Refused before there is a request that anybody could follow.
        assert (answer.status, tracking.events()) == (400, [])
    else:
        assert answer.status == 200
        assert tracking.request().attributes[names.QUERY] == "q=\ufffd"


def test_a_path_in_utf_8_is_kept_as_text(tracking: Tracking, shop: Shop) -> None:
    tracking.start()

    shop.get("/named/café/漢")

    assert tracking.request().attributes[names.PATH] == "/named/café/漢"


def test_a_path_in_latin_1_is_kept_as_the_framework_reads_it(tracking: Tracking, shop: Shop) -> None:
    tracking.start()

    ask(shop, {"PATH_INFO": "/named/\xe9"})

    kept = "/named/%E9" if shop.name == "Django WSGI" else "/named/\ufffd"
    assert tracking.request().attributes[names.PATH] == kept
