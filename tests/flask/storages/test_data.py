"""The dictionary that a storage gets: the old keys and no others, each with its old meaning."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.enrich import enrich
from otel_usage.flask.storages import RequestExtras, UserAgent, build_data
from otel_usage.model import Event
from tests.builders import build_event

OLD_KEYS = {
    "url", "user_agent", "server_name", "blueprint", "view_args", "status", "remote_addr", "xforwardedfor",
    "authorization", "ip_info", "path", "speed", "date", "content_length", "request", "url_args", "username",
    "track_var",
}  # fmt: skip
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
IPAD = "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
PIXEL = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
EXPLORER = "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"
TESTS = "Werkzeug/3.1.3"


def event_with(**attributes: Any) -> Event:
    """Return a request whose attributes are given by the names of their constants."""
    event = build_event()
    event.attributes.update({getattr(names, name): value for name, value in attributes.items()})
    return event


def user_agent_of(string: str, language: str = "") -> UserAgent:
    event = build_event(user_agent=string)
    if language:
        event.attributes[names.LANGUAGE] = language
    found = build_data(enrich(event), RequestExtras())["user_agent"]
    assert isinstance(found, UserAgent)
    return found


def test_the_data_has_the_old_keys_and_no_others() -> None:
    found = build_data(build_event(), RequestExtras())

    assert type(found) is dict
    assert set(found) == OLD_KEYS


def test_a_full_request_says_all_that_it_used_to_say() -> None:
    event = event_with(
        BLUEPRINT="shop", QUERY="a=1&a=2&b=", FORWARDED_FOR="203.0.113.7, 198.51.100.23", HAS_AUTHORIZATION=True,
        RESPONSE_SIZE=18, USER_ID="ann", SCHEME="https", HOST="shop.example", PATH="/item/7", STATUS_CODE=201,
    )._replace(duration_ns=1_500_000_000)  # fmt: skip

    found = build_data(
        event,
        RequestExtras(
            "app", {"number": 7}, {"basket": 3}, {"a": "1", "b": ""}, "shop.example:8443", "HTTP/1.0"
        ),
    )

    del found["user_agent"]
    assert found == {
        "url": "https://shop.example:8443/item/7?a=1&a=2&b=",
        "server_name": "app",
        "blueprint": "shop",
        "view_args": {"number": 7},
        "status": 201,
        "remote_addr": "192.0.2.1",
        "xforwardedfor": "203.0.113.7, 198.51.100.23",
        "authorization": True,
        "ip_info": None,
        "path": "/item/7",
        "speed": 1.5,
        "date": 1773144000,
        "content_length": 18,
        "request": "GET https://shop.example:8443/item/7?a=1&a=2&b= HTTP/1.0",
        "url_args": {"a": "1", "b": ""},
        "username": "ann",
        "track_var": {"basket": 3},
    }


def test_what_is_not_known_is_none_or_empty() -> None:
    found = build_data(event_with(CLIENT_ADDRESS=""), RequestExtras())

    unknown = (
        "blueprint",
        "view_args",
        "remote_addr",
        "xforwardedfor",
        "ip_info",
        "content_length",
        "username",
    )
    assert [found[key] for key in unknown] == [None] * len(unknown)
    assert (found["url_args"], found["track_var"], found["authorization"]) == ({}, {}, False)
    assert found["server_name"] == "shop"


def test_a_route_without_arguments_is_told_from_no_route() -> None:
    assert build_data(build_event(), RequestExtras(view_args={}))["view_args"] == {}
    assert build_data(build_event(), RequestExtras(view_args=None))["view_args"] is None


def test_nothing_is_cut_to_the_size_of_a_column() -> None:
    path, address = "/" + "p" * 2000, "2001:db8:85a3:8d3:1319:8a2e:370:7348"

    found = build_data(
        event_with(PATH=path, CLIENT_ADDRESS=address, USER_AGENT="a" * 2000),
        RequestExtras(track_var={"note": "n" * 5000}),
    )

    assert (found["path"], found["remote_addr"]) == (path, address)
    assert len(found["user_agent"].string) == 2000
    assert len(found["track_var"]["note"]) == 5000


def test_a_masked_address_is_masked_and_a_hashed_one_is_its_hash() -> None:
    masked = build_data(event_with(CLIENT_ADDRESS="192.0.2.0", PEER_ADDRESS="192.0.2.0"), RequestExtras())
    hashed = build_data(event_with(CLIENT_ADDRESS="", CLIENT_ADDRESS_HASH="9f86d0"), RequestExtras())

    assert (masked["remote_addr"], hashed["remote_addr"]) == ("192.0.2.0", "9f86d0")


def test_where_a_client_is_stands_in_ip_info() -> None:
    event = event_with(COUNTRY="CH", REGION="CH-ZH", CITY="Zürich")

    found = build_data(event, RequestExtras())["ip_info"]

    assert found == {"country_code": "CH", "region_code": "CH-ZH", "city": "Zürich"}


def test_a_time_that_a_test_gives_goes_before_the_real_one() -> None:
    assert build_data(build_event(), RequestExtras(date=12))["date"] == 12


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Europe/Zurich"])
def test_the_date_is_right_in_every_time_zone_of_the_server(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    # 02:30 UTC on the day on which New York's clocks leave that hour out.
    event = build_event(at="2026-03-08T02:30:00")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        date = build_data(event, RequestExtras())["date"]
    time.tzset()

    assert date == 1772937000


@pytest.mark.parametrize(
    ("string", "browser", "platform", "version"),
    [
        (FIREFOX, "firefox", "linux", "128.0"),
        (CHROME, "chrome", "windows", "126.0"),
        (SAFARI, "safari", "iphone", "17.5"),
        (IPAD, "safari", "ipad", "16.6"),
        (PIXEL, "chrome", "android", "126.0"),
        (EXPLORER, "msie", "windows", "11.0"),
        (MAC, "safari", "macos", "17.4"),
        (TESTS, None, None, None),
        ("", None, None, None),
    ],
)
def test_the_user_agent_has_the_names_that_werkzeug_gave(
    string: str, browser: str | None, platform: str | None, version: str | None
) -> None:
    found = user_agent_of(string, "de-CH")

    assert (found.browser, found.platform, found.version, found.language) == (
        browser,
        platform,
        version,
        "de-CH",
    )
    assert str(found) == found.string == string


def test_a_client_that_asks_for_no_language_has_none() -> None:
    assert user_agent_of(FIREFOX).language is None


def test_the_user_agent_can_be_copied_and_nobody_can_change_it() -> None:
    found = user_agent_of(FIREFOX)

    assert copy.deepcopy(found) == found
    with pytest.raises(AttributeError):
        found.browser = "other"  # type: ignore[misc]
