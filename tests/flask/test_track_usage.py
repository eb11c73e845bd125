"""`TrackUsage`: attached to apps in every way, with storages that get each request once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import flask
import pytest
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from otel_usage import attributes as names
from otel_usage import wiring
from otel_usage.flask import FlaskUsageInstrumentor, TrackUsage, client_api
from otel_usage.flask.storages import ClickHouseStorage
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.exporters.discard import DiscardExporter
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from tests.tracking import Tracking

Data = dict[str, Any]
MODE = "TRACK_USAGE_INCLUDE_OR_EXCLUDE_VIEWS"


def build_shop(**config: object) -> Flask:
    """Return an app under test: its storages have a request when its answer is there."""
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    app.config.update({"TESTING": True, **config})
    app.add_url_rule("/item/<int:number>", "item", lambda number: f"item {number}")
    return app


def paths(stored: list[Data]) -> list[str]:
    return [data["path"] for data in stored]


def exporter_in_force() -> object:
    processor = wiring._wiring.processor
    return None if processor is None else processor._worker._exporter


def by_the_proxy(app: Flask, storage: Any) -> None:
    with app.app_context():
        TrackUsage(flask.current_app, storage)


WAYS: dict[str, Callable[[Flask, Any], object]] = {
    "constructor": lambda app, storage: TrackUsage(app, storage),
    "init_app": lambda app, storage: TrackUsage().init_app(app, storage),
    "both": lambda app, storage: TrackUsage(storage=storage).init_app(app),
    "iterator": lambda app, storage: TrackUsage(app, storage if callable(storage) else iter(storage)),
    "current_app": by_the_proxy,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("is_list", [False, True], ids=["one", "list"])
def test_one_storage_or_a_list_is_taken_in_every_place(
    tracking: Tracking, way: Callable[[Flask, Any], object], is_list: bool
) -> None:
    tracking.start()
    first: list[Data] = []
    second: list[Data] = []
    app = build_shop()
    way(app, [first.append, second.append] if is_list else first.append)

    app.test_client().get("/item/7?a=1&a=2")

    assert first[0]["view_args"] == {"number": 7}
    assert first[0]["url_args"] == {"a": "1"}
    assert first[0]["server_name"] == "shop"
    assert len(first) == 1
    assert second == (first if is_list else [])


def test_an_extension_without_storages_tracks_all_the_same(tracking: Tracking) -> None:
    tracking.start()
    app = build_shop()
    TrackUsage(app)

    app.test_client().get("/item/7")

    assert tracking.request().attributes[names.PATH] == "/item/7"


def test_one_extension_serves_several_apps_each_with_its_own_storages_and_mode(tracking: Tracking) -> None:
    tracking.start()
    usage = TrackUsage()
    all_of_it: list[Data] = []
    named: list[Data] = []
    shop, office = build_shop(), build_shop(**{MODE: "include"})
    usage.init_app(shop, all_of_it.append)
    usage.init_app(office, [named.append])

    for app in (shop, office):
        app.test_client().get("/item/1")

    assert (len(all_of_it), len(named)) == (1, 0)
    assert len(tracking.events("request")) == 1


def test_two_extensions_of_one_app_have_each_their_own_scope(tracking: Tracking) -> None:
    tracking.start()
    first: list[Data] = []
    second: list[Data] = []
    app = build_shop()
    without_item, without_home = TrackUsage(app, first.append), TrackUsage(app, second.append)
    app.add_url_rule("/", "home", without_home.exclude(lambda: "home"))
    app.add_url_rule("/quiet", "quiet", without_item.exclude(without_home.exclude(lambda: "quiet")))
    without_item.exclude(app.view_functions["item"])

    for path in ("/item/7", "/", "/quiet", "/nowhere"):
        app.test_client().get(path)

    assert paths(first) == ["/", "/nowhere"]
    assert paths(second) == ["/item/7", "/nowhere"]
    assert [event.attributes[names.PATH] for event in tracking.events("request")] == [
        "/item/7",
        "/",
        "/nowhere",
    ]
    assert dict(tracking.accounting().filtered) == {"excluded_view": 1}


def test_attaching_twice_stores_once_and_the_last_storages_count(tracking: Tracking) -> None:
    tracking.start()
    before: list[Data] = []
    after: list[Data] = []
    app = build_shop()
    usage = TrackUsage(app, before.append)
    app.test_client().get("/item/1")

    usage.init_app(app, after.append)
    usage.init_app(app, after.append)
    app.test_client().get("/item/2")

    assert paths(before) == ["/item/1"]
    assert paths(after) == ["/item/2"]
    assert len(tracking.events("request")) == 2


@pytest.mark.parametrize("is_first", [True, False], ids=["extension first", "instrumentation first"])
def test_instrumentation_before_or_after_makes_one_event_of_a_request(
    tracking: Tracking, is_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.set_up_sdk()
    tracking.configure()
    stored: list[Data] = []
    steps: list[Callable[[], object]] = [
        FlaskInstrumentor().instrument,
        FlaskUsageInstrumentor().instrument,
    ]
    if not is_first:
        for step in steps:
            step()
    app = build_shop()
    TrackUsage(app, stored.append)
    if is_first:
        for step in steps:
            step()

    app.test_client().get("/item/7")

    assert paths(stored) == ["/item/7"]
    assert len(tracking.events("request")) == 1


def test_a_storage_is_called_off_the_thread_of_the_request(tracking: Tracking) -> None:
    tracking.start()
    threads: list[int] = []
    app = build_shop()
    TrackUsage(app, lambda data: threads.append(threading.get_ident()))

    app.test_client().get("/item/7")

    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


def test_a_storage_that_raises_hurts_neither_the_page_nor_the_next_storage(tracking: Tracking) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop()

    def broken(data: Data) -> None:
        raise OSError("disk full")

    TrackUsage(app, [broken, stored.append])
    response = app.test_client().get("/item/7")

    assert response.status_code == 200
    assert paths(stored) == ["/item/7"]
    assert len(tracking.events("request")) == 1


@pytest.mark.parametrize(
    ("fake", "seconds"),
    [
        (datetime(2018, 4, 15, 9, 30), 1523784600),
        (datetime(2018, 4, 15, 9, 30, tzinfo=timezone(timedelta(hours=2))), 1523777400),
    ],
)
def test_a_fake_time_is_the_date_that_storages_are_told(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, fake: datetime, seconds: int
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    tracking.start()
    stored: list[Data] = []
    app = build_shop()
    TrackUsage(app, stored.append, _fake_time=fake)

    app.test_client().get("/item/7")

    assert stored[0]["date"] == seconds
    assert tracking.request().timestamp_ns > seconds * 1_000_000_000


def test_a_request_that_fails_is_stored_with_its_status(tracking: Tracking) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop(PROPAGATE_EXCEPTIONS=False)
    app.add_url_rule("/broken", "broken", lambda: str(1 / 0))
    TrackUsage(app, stored.append)

    app.test_client().get("/broken")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/broken")

    assert [data["status"] for data in stored] == [500, 500]


def test_an_earlier_before_request_that_aborts_keeps_its_answer(tracking: Tracking) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop()

    @app.before_request
    def refuse() -> None:
        flask.g.track_var["refused"] = True
        flask.abort(401)

    TrackUsage(app, stored.append)
    response = app.test_client().get("/item/7")

    assert response.status_code == 401
    assert [(data["status"], data["track_var"]) for data in stored] == [(401, {"refused": True})]


def test_all_goes_on_while_tracking_is_switched_off(tracking: Tracking) -> None:
    wiring.configure(disabled=True)
    stored: list[Data] = []
    app = build_shop()
    TrackUsage(app, stored.append)

    @app.get("/")
    def home() -> str:
        flask.g.track_var["seen"] = 1
        return "home"

    assert app.test_client().get("/").data == b"home"
    assert stored == []


@pytest.mark.parametrize("storage", [7, "print", object(), [print, 7], [None], b"x"])
def test_a_storage_that_cannot_be_called_is_refused_at_the_start(tracking: Tracking, storage: Any) -> None:
    with pytest.raises(TypeError, match="expected a callable that takes the data of a request"):
        TrackUsage(build_shop(), storage)


def test_an_app_that_is_none_of_flask_is_refused_at_the_start(tracking: Tracking) -> None:
    with pytest.raises(TypeError, match=r"The app is a type, expected a flask\.Flask"):
        TrackUsage(Flask, print)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="_fake_time is a int, expected a datetime"):
        TrackUsage(_fake_time=7)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["", "Include", "all", None, 1, ["include"]])
def test_a_wrong_mode_is_refused_at_the_start_and_the_text_says_which_there_are(
    tracking: Tracking, mode: object
) -> None:
    app = build_shop(**{MODE: mode})

    with pytest.raises(NotImplementedError, match=r"expected 'exclude' \(track every view .* or 'include'"):
        TrackUsage(app, print)


def test_a_mode_that_became_wrong_fails_tests_and_nothing_else(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop()
    usage = TrackUsage(app, stored.append)
    usage._type = "both"

    with pytest.raises(NotImplementedError, match="'both'"):
        app.test_client().get("/item/1")
    assert stored == []

    app.testing = False
    assert app.test_client().get("/item/2").status_code == 200
    assert len(tracking.events("request")) == 1
    assert "is 'both', expected 'exclude'" in caplog.text


def test_a_mode_that_is_changed_to_the_other_one_counts_from_the_next_request(tracking: Tracking) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop()
    usage = TrackUsage(app, stored.append)
    app.test_client().get("/item/1")

    usage._type = "include"
    app.test_client().get("/item/2")

    assert usage._type == "include"
    assert paths(stored) == ["/item/1"]


def test_without_the_old_key_the_setting_says_what_is_tracked(tracking: Tracking) -> None:
    tracking.start(track="included")
    stored: list[Data] = []
    named, all_of_it = build_shop(), build_shop(**{MODE: "exclude"})
    usage = TrackUsage(named, stored.append)
    usage.init_app(all_of_it, stored.append)

    named.test_client().get("/item/1")
    all_of_it.test_client().get("/item/2")

    assert paths(stored) == ["/item/2"]


@pytest.mark.parametrize(("value", "is_followed"), [(None, True), (True, True), (False, False)])
def test_the_cookie_key_switches_the_visit_cookie(
    tracking: Tracking, value: bool | None, is_followed: bool
) -> None:
    tracking.start()
    app = build_shop(**({} if value is None else {"TRACK_USAGE_COOKIE": value}))
    TrackUsage(app)

    response = app.test_client().get("/item/7")

    assert ("otel_usage_visit" in response.headers.get("Set-Cookie", "")) is is_followed
    assert (names.VISIT_KEY in tracking.request().attributes) is is_followed


def test_events_stay_in_the_process_where_only_its_storages_want_them(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    stored: list[Data] = []
    app = build_shop()
    TrackUsage(app, stored.append)

    app.test_client().get("/item/7")

    assert paths(stored) == ["/item/7"]
    assert isinstance(exporter_in_force(), DiscardExporter)


@pytest.mark.parametrize(
    ("variable", "value", "kind"),
    [
        ("OTEL_USAGE_DSN", "http://localhost:1/otel_usage", ClickHouseSpanExporter),
        ("OTEL_USAGE_EXPORTER", "otlp", OtlpExporter),
        ("OTEL_USAGE_OTLP_ENDPOINT", "http://localhost:1", OtlpExporter),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1", OtlpExporter),
        ("OTEL_USAGE_EXPORTER", "none", DiscardExporter),
    ],
)
def test_a_destination_that_is_named_is_used_beside_the_storages(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, kind: type
) -> None:
    monkeypatch.setenv(variable, value)

    TrackUsage(build_shop(), print)

    assert isinstance(exporter_in_force(), kind)


@pytest.mark.parametrize("storages", [[], [ClickHouseStorage()], [print, ClickHouseStorage()]])
def test_events_leave_by_the_default_where_storages_are_to_read_them_back(
    tracking: Tracking, storages: list[Callable[[Data], object]]
) -> None:
    TrackUsage(build_shop(), storages)

    assert isinstance(exporter_in_force(), OtlpExporter)


def test_the_old_keys_name_the_service_that_knows_where_addresses_are(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = "https://geo.example.org/json/{ip}"
    app = build_shop(TRACK_USAGE_USE_FREEGEOIP=True, TRACK_USAGE_FREEGEOIP_ENDPOINT=endpoint)

    TrackUsage(app, print)

    settings = wiring.configured_settings()
    assert settings is not None
    assert settings.geo_endpoint == endpoint
    assert caplog.text == ""


def test_the_setting_of_the_service_goes_before_the_old_key(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_USAGE_GEO_ENDPOINT", "https://ours.example.org/")
    app = build_shop(
        TRACK_USAGE_USE_FREEGEOIP=True, TRACK_USAGE_FREEGEOIP_ENDPOINT="https://old.example.org/"
    )

    TrackUsage(app, print)

    settings = wiring.configured_settings()
    assert settings is not None
    assert settings.geo_endpoint == "https://ours.example.org/"


def test_the_old_keys_count_under_the_launcher_too_which_configures_first(tracking: Tracking) -> None:
    tracking.start()
    endpoint = "https://geo.example.org/"

    TrackUsage(build_shop(TRACK_USAGE_USE_FREEGEOIP=True, TRACK_USAGE_FREEGEOIP_ENDPOINT=endpoint))
    TrackUsage(build_shop(TRACK_USAGE_USE_FREEGEOIP=False, TRACK_USAGE_FREEGEOIP_ENDPOINT="https://other"))

    settings = wiring.configured_settings()
    assert settings is not None
    assert settings.geo_endpoint == endpoint


def test_the_service_that_is_gone_is_named_in_the_log(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    TrackUsage(build_shop(TRACK_USAGE_USE_FREEGEOIP=True))

    assert "the service that was the default is gone" in caplog.text
    settings = wiring.configured_settings()
    assert settings is not None
    assert settings.geo_endpoint is None


def test_a_test_waits_also_where_the_context_is_kept(tracking: Tracking) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop()
    TrackUsage(app, stored.append)

    with app.test_client() as client:
        client.get("/item/7")

        assert paths(stored) == ["/item/7"]


def test_a_request_inside_a_request_belongs_to_the_outer_one(tracking: Tracking) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop()
    TrackUsage(app, stored.append)

    @app.get("/outer")
    def outer() -> str:
        flask.g.track_var["mine"] = 1
        inner = app.test_client().get("/item/7")
        flask.g.track_var["still"] = 2
        return inner.text

    app.test_client().get("/outer")

    assert [(data["path"], data["track_var"]) for data in stored] == [("/outer", {"mine": 1, "still": 2})]


def test_a_view_that_is_no_page_reaches_no_storage(tracking: Tracking) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop()
    app.register_blueprint(client_api(), url_prefix="/usage")
    TrackUsage(app, stored.append)

    app.test_client().get("/usage/client.js")
    app.test_client().get("/item/7")

    assert paths(stored) == ["/item/7"]
