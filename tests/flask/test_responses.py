"""What a response gets from us: one cookie, or nothing at all."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Flask, Response
from itsdangerous import TimestampSigner

import otel_usage
from otel_usage import attributes as names
from otel_usage import wiring
from otel_usage.wiring import runtime
from tests.tracking import Tracking


def build_app(**headers: str) -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.get("/")
    def home() -> Response:
        return Response("home", headers=headers)

    @app.get("/not-modified")
    def not_modified() -> tuple[str, int]:
        return "", 304

    return app


def test_the_first_response_sets_one_cookie_and_the_next_none(tracking: Tracking) -> None:
    tracking.start()
    client = build_app().test_client()

    first, second = client.get("/"), client.get("/")

    assert len(first.headers.getlist("Set-Cookie")) == 1
    assert second.headers.getlist("Set-Cookie") == []


def test_a_response_differs_by_the_cookie_alone(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    # The app signs its session with the second of the day, and the two rounds may fall into two.
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda signer: 1_700_000_000)
    app = build_app(**{"X-Shop": "open", "Vary": "Accept"})
    app.add_url_rule("/login", "login", lambda: flask.session.setdefault("user", "me"))
    before = {path: app.test_client().get(path) for path in ("/", "/login", "/nowhere", "/not-modified")}

    tracking.start()

    for path, bare in before.items():
        tracked = app.test_client().get(path)
        ours = [value for value in tracked.headers.getlist("Set-Cookie") if value.startswith("otel_usage")]
        assert len(ours) == (path != "/not-modified")
        kept = [(name, value) for name, value in tracked.headers if value not in ours]
        assert (tracked.status, tracked.data, kept) == (bare.status, bare.data, list(bare.headers))


def test_the_apps_own_cookies_stay(tracking: Tracking) -> None:
    tracking.start()

    response = build_app(**{"Set-Cookie": "theme=dark"}).test_client().get("/")

    assert [value.partition("=")[0] for value in response.headers.getlist("Set-Cookie")] == [
        "theme",
        "otel_usage_visit",
    ]


def test_the_visit_goes_on_when_the_cookie_comes_back(tracking: Tracking) -> None:
    tracking.start()
    client = build_app().test_client()

    client.get("/")
    client.get("/")

    first, second = tracking.events("request")
    assert first.attributes[names.VISIT_KEY] == second.attributes[names.VISIT_KEY]
    assert (first.attributes[names.VISIT_IS_NEW], second.attributes[names.VISIT_IS_NEW]) == (True, False)


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
    tracking: Tracking, cache_control: str, allowed: bool
) -> None:
    tracking.start()

    response = build_app(**{"Cache-Control": cache_control}).test_client().get("/")

    assert ("Set-Cookie" in response.headers) == allowed
    assert tracking.request().attributes[names.VISIT_KEY]


def test_a_response_not_modified_gets_no_cookie(tracking: Tracking) -> None:
    tracking.start()

    response = build_app().test_client().get("/not-modified")

    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("base_url", "environ", "settings", "secure"),
    [
        ("https://shop.example", {}, {}, True),
        ("http://shop.example", {}, {}, False),
        ("http://shop.example", {"HTTP_X_FORWARDED_PROTO": "https"}, {}, False),
        (
            "http://shop.example",
            {"HTTP_X_FORWARDED_PROTO": "https"},
            {"trusted_proxies": "127.0.0.1"},
            True,
        ),
        (
            "http://shop.example",
            {"HTTP_X_FORWARDED_PROTO": "HTTPS, http"},
            {"trusted_proxies": "1"},
            True,
        ),
        (
            "http://shop.example",
            {"HTTP_X_FORWARDED_PROTO": "http"},
            {"trusted_proxies": "127.0.0.1"},
            False,
        ),
        (
            "http://shop.example",
            {"HTTP_X_FORWARDED_PROTO": "https"},
            {"trusted_proxies": "10.0.0.0/8"},
            False,
        ),
        ("http://shop.example", {}, {"cookie_secure": "true"}, True),
        ("https://shop.example", {}, {"cookie_secure": "false"}, False),
    ],
)
def test_secure_is_set_where_the_visitor_came_by_https(
    tracking: Tracking, base_url: str, environ: dict[str, str], settings: dict[str, Any], secure: bool
) -> None:
    tracking.start(**settings)

    response = build_app().test_client().get("/", base_url=base_url, environ_overrides=environ)

    assert ("; Secure" in response.headers["Set-Cookie"]) == secure


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
def test_a_visitor_who_opts_out_gets_no_cookie_no_visit_and_no_user(tracking: Tracking, header: str) -> None:
    tracking.start()
    app = build_app()
    app.add_url_rule("/visit", "visit", lambda: str(otel_usage.current_visit()))
    client = app.test_client()
    client.get("/")  # a cookie from before the visitor opted out changes nothing

    response = client.get("/visit", headers={header: "1"})

    assert "Set-Cookie" not in response.headers
    assert response.data == b"None"
    event = tracking.events("request")[-1]
    assert event.attributes[names.PATH] == "/visit"
    assert (
        not {names.VISIT_KEY, names.VISITOR_ID, names.VISIT_IS_NEW, names.USER_ID} & event.attributes.keys()
    )


@pytest.mark.parametrize(("header", "setting"), [("Sec-GPC", "respect_gpc"), ("DNT", "respect_dnt")])
def test_a_signal_counts_only_as_long_as_it_is_respected(
    tracking: Tracking, header: str, setting: str
) -> None:
    tracking.start(**{setting: False})

    assert "Set-Cookie" in build_app().test_client().get("/", headers={header: "1"}).headers


@pytest.mark.parametrize("value", ["0", "", "null", "2"])
def test_any_other_value_is_no_signal(tracking: Tracking, value: str) -> None:
    tracking.start()

    response = build_app().test_client().get("/", headers={"Sec-GPC": value, "DNT": value})

    assert "Set-Cookie" in response.headers


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "is_visit"),
    [
        ({"traceparent": TRACEPARENT, "User-Agent": "python-requests/2.32"}, False),
        ({"traceparent": TRACEPARENT, "User-Agent": ""}, False),
        ({"traceparent": TRACEPARENT, "User-Agent": "Mozilla/5.0 (X11)"}, True),
        ({"traceparent": TRACEPARENT, "User-Agent": "curl/8", "Cookie": "a=b"}, True),
        ({"User-Agent": "python-requests/2.32"}, True),
    ],
)
def test_a_call_from_service_to_service_is_no_visit(
    tracking: Tracking, headers: dict[str, str], is_visit: bool
) -> None:
    tracking.start()

    response = build_app().test_client(use_cookies=False).get("/", headers=headers)

    assert ("Set-Cookie" in response.headers) == is_visit
    assert (names.VISIT_KEY in tracking.request().attributes) == is_visit


def test_excluded_requests_are_counted_and_left_alone(tracking: Tracking) -> None:
    tracking.start(excluded_urls="^/health$,^/static/")
    app = build_app()
    app.add_url_rule("/health", "health", lambda: str(otel_usage.current_visit()))

    response = app.test_client().get("/health")
    app.test_client().get("/static/a.css")
    app.test_client().get("/")

    assert response.data == b"None"
    assert "Set-Cookie" not in response.headers
    assert len(tracking.events()) == 1
    assert dict(tracking.accounting().filtered) == {"excluded_url": 2}
    assert tracking.accounting().seen == 3


def test_with_included_urls_all_others_are_counted_and_left_alone(tracking: Tracking) -> None:
    tracking.start(included_urls="^/$,^/item", excluded_urls="secret")
    app = build_app()

    for path in ("/", "/item/1", "/item/secret", "/about"):
        app.test_client().get(path)

    assert [event.attributes[names.PATH] for event in tracking.events()] == ["/", "/item/1"]
    assert dict(tracking.accounting().filtered) == {"excluded_url": 1, "not_included_url": 1}


def test_static_files_are_excluded_by_default_and_nothing_else(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    for path in ("/static/a.css", "/favicon.ico", "/statics", "/health"):
        app.test_client().get(path)

    assert [event.attributes[names.PATH] for event in tracking.events()] == [
        "/favicon.ico",
        "/statics",
        "/health",
    ]


def test_apps_with_different_secrets_do_not_know_each_others_visits(tracking: Tracking) -> None:
    tracking.start(secret="")
    first, second = build_app(), build_app()
    second.secret_key = "of another app"
    cookie = first.test_client().get("/").headers["Set-Cookie"].partition(";")[0]

    second.test_client(use_cookies=False).get("/", headers={"Cookie": cookie})
    first.test_client(use_cookies=False).get("/", headers={"Cookie": cookie})

    assert [event.attributes[names.VISIT_IS_NEW] for event in tracking.events()] == [True, True, False]


def test_the_apps_secret_signs_the_cookie_without_a_warning(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start(secret="")

    build_app().test_client().get("/")

    assert caplog.records == []


def test_an_app_without_secret_has_visits_all_the_same_and_is_told_once(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start(secret="")
    app = build_app()
    app.secret_key = None
    client = app.test_client()

    client.get("/")
    client.get("/")

    assert [event.attributes[names.VISIT_IS_NEW] for event in tracking.events()] == [True, False]
    assert len([record for record in caplog.records if "no secret key" in record.getMessage()]) == 1


@pytest.mark.parametrize("variable", ["OTEL_USAGE_DISABLED", "OTEL_SDK_DISABLED"])
def test_disabled_records_nothing_sets_no_cookie_and_starts_no_thread(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "true")
    tracking.start()
    app = build_app()
    seen: list[object] = []

    def speak() -> str:
        otel_usage.track("spoken")
        otel_usage.object_viewed("item", 1)
        otel_usage.reached("a", "b")
        otel_usage.increment(("item", 1), "views")
        seen.append(otel_usage.current_visit())
        return ""

    app.add_url_rule("/speak", "speak", speak)
    response = app.test_client().get("/speak")

    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert seen == [None]
    assert runtime() is None
    assert tracking.exporter.attempts == []
    assert tracking.spans() == []


@pytest.mark.parametrize("variable", ["OTEL_USAGE_DISABLED", "OTEL_SDK_DISABLED"])
def test_disabled_nothing_is_imported_made_or_started(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    metadata = tmp_path / "acme_spy-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-spy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[otel_usage_plugin]\nspy = acme_spy:print\n")
    (tmp_path / "acme_spy.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(variable, "true")
    monkeypatch.delitem(sys.modules, "acme_spy", raising=False)
    before = set(threading.enumerate())

    tracking.start()
    build_app().test_client().get("/")

    assert set(threading.enumerate()) <= before
    assert wiring._wiring.processor is None
    assert "acme_spy" not in sys.modules
