"""Where visitors are, from the request to ClickHouse, and what it may not cost the request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flask
import pytest
from flask import Flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor

import otel_usage
from otel_usage import attributes as names
from otel_usage import wiring
from otel_usage.clickhouse import ClickHouse
from otel_usage.enrich import geo_background, geo_endpoint
from otel_usage.enrich.geo import build_geo_reader
from otel_usage.flask import FlaskUsageInstrumentor, TrackUsage
from otel_usage.pipeline.processor import UsageSpanProcessor
from otel_usage.settings import Settings
from tests.auditing import REQUESTS
from tests.enrich.geo_service import Service, running_service
from tests.frameworks.test_audit import FLASK, run
from tests.mmdb import write_database
from tests.pipeline.spans import build_span
from tests.recording import RecordingExporter
from tests.serving import ServeProcess, wait_for
from tests.tracking import Tracking, clean_process

CLIENT, PROXY = "203.0.113.77", "10.0.0.1"
ZURICH = {
    "country": {"iso_code": "CH"},
    "subdivisions": [{"iso_code": "ZH"}],
    "city": {"names": {"en": "Zurich"}},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    # The network of the client's masked address is in another country: that one must not be found.
    records = {"203.0.113.0/24": {"country": "DE"}, f"{CLIENT}/32": ZURICH}
    return write_database(tmp_path / "geo.mmdb", records)


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as service:
        yield service


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers of the service be waited for, however busy the machine is."""
    monkeypatch.setattr(geo_background, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(geo_endpoint, "TIMEOUT_SECONDS", 60.0)


def build_shop() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.get("/")
    def home() -> str:
        otel_usage.object_viewed("product", 7)
        return "home"

    return app


def visit(app: Flask, client: str = CLIENT, **headers: str) -> None:
    """Send a request of this client by way of the proxy."""
    environ = {"REMOTE_ADDR": PROXY}
    app.test_client().get("/", headers={"X-Forwarded-For": client, **headers}, environ_overrides=environ)


@pytest.mark.parametrize(
    ("policy", "address"),
    [("full", CLIENT), ("masked", "203.0.113.0"), ("hashed", ""), ("off", "")],
)
def test_the_country_of_the_whole_address_is_stored_whatever_is_kept_of_it(
    serve: ServeProcess,
    usage: ClickHouse,
    monkeypatch: pytest.MonkeyPatch,
    path: Path,
    policy: str,
    address: str,
) -> None:
    with clean_process(monkeypatch):
        wiring.configure(
            dsn=serve.dsn_of(usage.dsn.database),
            secret="of the tests",
            ip=policy,
            geo_database=str(path),
            trusted_proxies=PROXY,
        )
        FlaskUsageInstrumentor().instrument()
        visit(build_shop())
        assert wiring._wiring.processor is not None
        assert wiring._wiring.processor.force_flush(30_000)

    stored = f"::ffff:{address}" if address else "::"
    assert usage.query(
        "SELECT event_name, toString(client_address), country, region, city FROM events ORDER BY event_name"
    ).rows == [
        ("object_viewed", stored, "CH", "CH-ZH", "Zurich"),
        ("request", stored, "CH", "CH-ZH", "Zurich"),
    ]
    for table in ("visits", "ips_daily"):
        assert usage.query(f"SELECT toString(client_address), country FROM {table}").rows == [(stored, "CH")]
    rows = usage.query("SELECT hex(toString(tuple(*))) FROM events").rows
    assert [CLIENT.encode().hex().upper() in row for (row,) in rows] == [policy == "full"] * 2


def test_the_country_is_on_no_span_that_others_see(tracking: Tracking, path: Path) -> None:
    tracking.start(ip="hashed", geo_database=str(path), trusted_proxies=PROXY)

    visit(build_shop())

    assert [event.attributes[names.COUNTRY] for event in tracking.events()] == ["CH", "CH"]
    assert not [
        span for span in tracking.spans() if CLIENT in str(span.attributes) or "geo." in str(span.attributes)
    ]


def test_a_stage_that_the_worker_finds_is_where_its_request_was(
    tracking: Tracking, path: Path, tmp_path: Path
) -> None:
    funnels = tmp_path / "funnels.toml"
    funnels.write_text(
        '[funnels.buy]\nstages = [{name = "home", paths = ["/"]}, {name = "bought", paths = ["/bought"]}]\n'
    )
    tracking.start(ip="off", geo_database=str(path), trusted_proxies=PROXY, funnels=str(funnels))

    visit(build_shop())

    (stage,) = tracking.events(names.STAGE_REACHED)
    assert [stage.attributes.get(name) for name in (names.COUNTRY, names.REGION, names.CITY)] == [
        "CH",
        "CH-ZH",
        "Zurich",
    ]


def test_a_country_that_the_app_knows_better_stays(tracking: Tracking, path: Path) -> None:
    tracking.start(geo_database=str(path))
    app = build_shop()

    @app.get("/abroad")
    def abroad() -> str:
        trace.get_current_span().set_attribute(names.COUNTRY, "FR")
        return ""

    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]
    app.test_client().get("/abroad", environ_overrides={"REMOTE_ADDR": CLIENT})

    assert tracking.request().attributes[names.COUNTRY] == "FR"
    assert names.CITY not in tracking.request().attributes


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("signal", ["Sec-GPC", "DNT"])
@pytest.mark.parametrize("policy", ["full", "off"])
@pytest.mark.parametrize("has_storage", [False, True], ids=["", "with a storage"])
def test_a_service_is_not_told_of_a_visitor_who_opted_out(
    tracking: Tracking, service: Service, policy: str, signal: str, has_storage: bool
) -> None:
    tracking.start(ip=policy, geo_endpoint=f"{service.url}/json/{{ip}}", trusted_proxies=PROXY)
    app = build_shop()
    if has_storage:
        TrackUsage(app, lambda data: None)

    visit(app, **{signal: "1"})
    visit(app, "198.51.100.9")

    told = "198.51.100.9" if policy == "full" else "198.51.100.0"
    assert [event.attributes.get(names.COUNTRY) for event in tracking.events("request")] == [None, "CH"]
    assert service.paths == [f"/json/{told}"]


def test_five_thousand_addresses_do_not_wait_for_a_service_that_hangs(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geo_background, "FIRST_PAUSE_SECONDS", 120.0)
    service.answers.clear()
    exporter = RecordingExporter()
    settings = Settings.load({}, geo_endpoint=f"{service.url}/{{ip}}")
    processor = UsageSpanProcessor(exporter, geo=build_geo_reader(settings), batch_size=1000)

    for number in range(5000):
        address = f"198.51.{number // 256}.{number % 256}"
        processor.on_end(build_span(attributes={names.CLIENT_ADDRESS: address}))
    # A fraction of the pause that follows on the first question, and of what as many questions would take.
    is_settled = processor.force_flush(60_000)

    assert is_settled
    assert len(exporter.events) == 5000
    wait_for(lambda: bool(service.paths), "the first question")
    assert len(service.paths) == 1


@pytest.mark.parametrize("source", ["database", "endpoint"])
def test_a_request_thread_opens_nothing_to_find_a_country(
    serve: ServeProcess,
    usage: ClickHouse,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    service: Service,
    source: str,
) -> None:
    everywhere = write_database(tmp_path / "all.mmdb", {"0.0.0.0/0": {"country": "CH"}})
    value = {"database": str(everywhere), "endpoint": f"{service.url}/"}[source]
    monkeypatch.setenv(f"OTEL_USAGE_GEO_{source.upper()}", value)

    seen, stored, opened = run(serve.dsn_of(usage.dsn.database), FLASK, "answered", "sdk", "contrib")

    assert opened == []
    assert seen == stored == 3 * REQUESTS
    found = [("CH",)] if source == "database" else [("",)]  # nobody is told of 127.0.0.1
    assert usage.query("SELECT DISTINCT country FROM events").rows == found
    assert service.paths == []


@pytest.mark.usefixtures("patient")
def test_an_app_names_its_service_after_the_launcher_configured(tracking: Tracking, service: Service) -> None:
    tracking.start(ip="off")
    app = build_shop()
    endpoint = f"{service.url}/json/{{ip}}"
    app.config.update(TRACK_USAGE_USE_FREEGEOIP=True, TRACK_USAGE_FREEGEOIP_ENDPOINT=endpoint)
    TrackUsage(app, [])

    app.test_client().get("/", environ_overrides={"REMOTE_ADDR": CLIENT})

    assert tracking.request().attributes[names.COUNTRY] == "CH"
    assert service.paths == ["/json/203.0.113.0"]


@pytest.mark.usefixtures("patient")
def test_an_app_names_its_service_before_anybody_configured(tracking: Tracking, service: Service) -> None:
    wiring.prefer_geo_endpoint(f"{service.url}/")
    tracking.start()

    build_shop().test_client().get("/", environ_overrides={"REMOTE_ADDR": CLIENT})

    assert tracking.request().attributes[names.COUNTRY] == "CH"


@pytest.mark.usefixtures("patient")
def test_a_service_that_the_settings_name_goes_before_that_of_the_app(
    tracking: Tracking, service: Service
) -> None:
    tracking.start(geo_endpoint=f"{service.url}/setting/")

    wiring.prefer_geo_endpoint(f"{service.url}/app/")
    build_shop().test_client().get("/", environ_overrides={"REMOTE_ADDR": CLIENT})

    assert tracking.request().attributes[names.COUNTRY] == "CH"
    assert service.paths == [f"/setting/{CLIENT}"]


def test_a_service_of_the_app_that_is_no_address_is_said(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start()

    wiring.prefer_geo_endpoint("geo.example.org/?key=hunter2")

    assert [record.getMessage() for record in caplog.records] == [
        "The geo service of an app: geo_endpoint= is wrong, expected an address such as https://geo.example.org/json/{ip}. Going on without it."
    ]
