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
from otel_usage.flask import FlaskUsageInstrumentor, TrackUsage, client_api, handover
from otel_usage.flask.storages import ClickHouseStorage
from otel_usage.log_throttle import LogThrottle
from tests.flask.usage_shop import MODE, Data, build_shop, paths
from tests.recording import RecordingExporter
from tests.tracking import Tracking


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


@pytest.mark.parametrize(
    ("path", "peer", "claimed"),
    [
        pytest.param("/nowhere/" + "x" * 40, "192.0.2.1", "", id="a path of 49 characters"),
        pytest.param("/item/7?" + "q=" + "x" * 200, "192.0.2.1", "", id="a URL of 200 characters"),
        pytest.param("/item/7", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "", id="IPv6"),
        pytest.param("/item/7", "192.0.2.1", "203.0.113.7, 198.51.100.23", id="two proxies"),
    ],
)
def test_ordinary_requests_that_were_too_long_for_the_old_columns_are_stored_whole(
    tracking: Tracking, path: str, peer: str, claimed: str
) -> None:
    tracking.start()
    stored: list[Data] = []
    app = build_shop()
    TrackUsage(app, stored.append)

    @app.before_request
    def say_much() -> None:
        flask.g.track_var["text"] = "x" * 1000

    response = app.test_client().get(
        path, environ_overrides={"REMOTE_ADDR": peer}, headers={"X-Forwarded-For": claimed} if claimed else {}
    )

    assert response.status_code in (200, 404)
    assert stored[0]["url"] == f"http://localhost{path}"
    assert stored[0]["remote_addr"] == peer
    assert stored[0]["xforwardedfor"] == (claimed or None)
    assert stored[0]["track_var"] == {"text": "x" * 1000}


def test_a_test_that_reads_back_finds_the_request_sent(tracking: Tracking) -> None:
    tracking.start(flush_interval_seconds=60)
    app = build_shop()
    TrackUsage(app, ClickHouseStorage())

    app.test_client().get("/item/7")

    assert [event.attributes[names.PATH] for event in tracking.exporter.named("request")] == ["/item/7"]


def wait_for(event: threading.Event) -> None:
    event.wait(60)


def test_a_test_waits_once_for_a_server_that_is_not_there_and_says_so(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(handover, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(handover, "_late_log", LogThrottle())
    is_over = threading.Event()
    tracking.exporter = RecordingExporter(lambda attempt: wait_for(is_over))
    tracking.start(flush_interval_seconds=60)
    app = build_shop()
    TrackUsage(app, ClickHouseStorage())

    for _ in range(2):
        assert app.test_client().get("/item/7").status_code == 200

    is_over.set()
    assert tracking.processor in handover._given_up
    assert caplog.text.count("a request did not reach its storages within 0.1 seconds") == 1
