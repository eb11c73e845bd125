"""The configuration of an app with `TrackUsage`: its old keys, and where its events go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otel_usage import attributes as names
from otel_usage import wiring
from otel_usage.flask import TrackUsage
from otel_usage.flask.storages import ClickHouseStorage
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.exporters.discard import DiscardExporter
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from tests.flask.usage_shop import MODE, Data, build_shop, paths
from tests.tracking import Tracking


def exporter_in_force() -> object:
    processor = wiring._wiring.processor
    return None if processor is None else processor._worker._exporter


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
