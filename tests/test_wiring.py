from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import otel_usage
from otel_usage import attributes as names
from otel_usage import wiring
from otel_usage.auto import ClickHouseTracesExporter, pre_instrument
from otel_usage.log_throttle import LogThrottle
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.exporters.console import ConsoleExporter
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from otel_usage.pipeline.sampler import UsageSampler
from tests.pipeline.spans import build_span
from tests.tracking import Tracking, clean_process

DSN = "http://localhost:1/otel_usage"


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    with clean_process(monkeypatch):
        yield Tracking(monkeypatch)


def exporter_in_force() -> object:
    processor = wiring._wiring.processor
    return None if processor is None else processor._worker._exporter


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, OtlpExporter),
        ({"dsn": DSN}, ClickHouseSpanExporter),
        ({"exporter": "clickhouse", "dsn": DSN}, ClickHouseSpanExporter),
        ({"exporter": "console"}, ConsoleExporter),
        ({"exporter": "otlp", "dsn": DSN}, OtlpExporter),
        ({"exporter": "none", "dsn": DSN}, type(None)),
    ],
)
@pytest.mark.usefixtures("tracking")
def test_the_settings_choose_the_exporter(settings: dict[str, object], kind: type) -> None:
    otel_usage.configure(**settings)

    assert type(exporter_in_force()) is kind


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"exporter": "kafka"},
            "OTEL_USAGE_EXPORTER is 'kafka', expected one of: clickhouse, otlp, console, none. "
            "Going on without storing usage events.",
        ),
        (
            {"exporter": "clickhouse"},
            "ClickHouseSpanExporter has no DSN. Pass dsn= or set OTEL_USAGE_DSN, for example to "
            "http://localhost:8123/otel_usage. Going on without storing usage events.",
        ),
        (
            {"dsn": "chdb:///data/otel_usage"},
            "OTEL_USAGE_DSN begins with chdb:, which an app must not open: its forked children would hang. "
            "Run `otel-usage serve` and use its http:// address. Going on without storing usage events.",
        ),
        (
            {"exporter": "none", "funnels": "/not/there.toml"},
            "Cannot read the funnel file '/not/there.toml': No such file or directory. Going on without funnels.",
        ),
        (
            {"exporter": "none", "ip": "some"},
            "ip= is 'some', expected one of: full, masked, hashed, off. Going on with the default.",
        ),
    ],
)
def test_what_is_wrong_is_logged_once_and_the_app_goes_on(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, settings: dict[str, object], message: str
) -> None:
    tracking.set_up_sdk()

    otel_usage.configure(**settings)

    assert caplog.messages == [message]
    assert wiring.runtime() is not None


def test_a_bad_setting_is_logged_once_when_another_setting_chose_the_exporter(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_USAGE_IP", "some")
    monkeypatch.setenv("OTEL_USAGE_DSN", DSN)
    wiring.select_exporter("clickhouse")

    otel_usage.configure()

    assert len(caplog.messages) == 1


def test_the_first_configuration_counts(tracking: Tracking, caplog: pytest.LogCaptureFixture) -> None:
    otel_usage.configure(exporter="none", ip="masked")

    otel_usage.configure()
    otel_usage.configure(ip="off", queue_size=5)

    runtime = wiring.runtime()
    assert runtime is not None
    assert runtime.settings.ip == "masked"
    assert caplog.messages == [
        "otel_usage is configured already, by the launcher or an earlier call; these arguments come too late: ip, queue_size. "
        "Set them in the environment instead: OTEL_USAGE_IP, OTEL_USAGE_QUEUE_SIZE"
    ]


def test_a_wrong_name_that_comes_late_is_told_as_such(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    otel_usage.configure(exporter="none")

    otel_usage.configure(dns="http://localhost:8123/otel_usage")

    assert caplog.messages == ["configure() was given 'dns', which is not a setting"]


def test_the_provider_gets_our_processor_and_sampler_once(tracking: Tracking) -> None:
    provider = tracking.set_up_sdk(ALWAYS_OFF)
    tracking.configure()
    pre_instrument()
    wiring.runtime()
    wiring.runtime()

    span = provider.get_tracer("app").start_span("liked", attributes={names.EVENT_NAME: "liked"})
    span.end()

    assert len(tracking.events()) == 1
    assert isinstance(provider.sampler, UsageSampler)
    assert not isinstance(provider.sampler.root, UsageSampler)


def test_an_exporter_of_another_package_is_found_by_its_name(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme_usage.py").write_text(
        "from tests.recording import RecordingExporter\n"
        "made = []\n"
        "def build(settings):\n"
        "    made.append((settings, RecordingExporter()))\n"
        "    return made[-1][1]\n"
    )
    metadata = tmp_path / "acme_usage-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-usage\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[otel_usage_exporter]\nacme = acme_usage:build\n")
    monkeypatch.syspath_prepend(tmp_path)

    otel_usage.configure(exporter="acme", batch_size=7)

    import acme_usage  # type: ignore[import-not-found]

    ((settings, exporter),) = acme_usage.made
    assert settings.batch_size == 7
    assert exporter_in_force() is exporter


@pytest.mark.parametrize("variable", ["OTEL_USAGE_DISABLED", "OTEL_SDK_DISABLED"])
@pytest.mark.parametrize("value", ["true", "TRUE"])
def test_disabled_touches_nothing(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    provider = tracking.set_up_sdk()
    sampler, handler = provider.sampler, signal.getsignal(signal.SIGTERM)

    pre_instrument()

    assert wiring.runtime() is None
    assert wiring._wiring.processor is None
    assert provider.sampler is sampler
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not os.environ["_OTEL_USAGE_GENERATED_SECRET"]


def test_without_an_sdk_the_provider_of_ours_stays_our_own(tracking: Tracking) -> None:
    tracking.configure()

    runtime = wiring.runtime()

    assert runtime is not None
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)
    runtime.tracer.start_span("liked", attributes={names.EVENT_NAME: "liked"}).end()
    assert len(tracking.events()) == 1


def test_a_vendors_provider_that_takes_processors_is_used(tracking: Tracking) -> None:
    class VendorProvider:
        def __init__(self) -> None:
            self.inner = TracerProvider(shutdown_on_exit=False)

        def get_tracer(self, *arguments: object, **options: object) -> trace.Tracer:
            return self.inner.get_tracer("vendor")

        def add_span_processor(self, processor: object) -> None:
            self.inner.add_span_processor(processor)  # type: ignore[arg-type]

    trace.set_tracer_provider(VendorProvider())  # type: ignore[arg-type]
    tracking.configure()

    runtime = wiring.runtime()
    assert runtime is not None
    runtime.tracer.start_span("liked", attributes={names.EVENT_NAME: "liked"}).end()

    assert len(tracking.events()) == 1


def test_the_traces_exporter_of_the_environment_chooses_clickhouse_and_stores_nothing_itself(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_USAGE_DSN", DSN)
    monkeypatch.setenv("OTEL_USAGE_EXPORTER", "")
    exporter = ClickHouseTracesExporter()
    pre_instrument()

    assert exporter.export([build_span()]).name == "SUCCESS"
    exporter.shutdown()

    assert type(exporter_in_force()) is ClickHouseSpanExporter


def test_our_own_setting_goes_before_the_traces_exporter(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_USAGE_EXPORTER", "console")
    ClickHouseTracesExporter()

    pre_instrument()

    assert type(exporter_in_force()) is ConsoleExporter


def test_funnels_give_their_stages_an_index(tracking: Tracking, tmp_path: Path) -> None:
    funnels = tmp_path / "funnels.toml"
    funnels.write_text('[funnels.buy]\nstages = [{ name = "cart", paths = ["/cart"] }, { name = "order" }]\n')
    tracking.configure(funnels=str(funnels))

    otel_usage.reached("buy", "order")

    (event,) = tracking.events(names.STAGE_REACHED)
    assert event.attributes[names.STAGE_INDEX] == 2


def test_a_stage_that_no_funnel_has_is_told(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_usage.instrumentation.api._misuse_log", LogThrottle())
    tracking.configure()

    otel_usage.reached("buy", "order")

    assert caplog.messages == [
        "reached() was given a stage that the funnel file does not have; no conversion counts it. "
        "Add it to OTEL_USAGE_FUNNELS"
    ]
    assert tracking.events()[0].attributes[names.STAGE_INDEX] == 0


def test_a_handler_that_is_there_already_stays(tracking: Tracking) -> None:
    def handler(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGTERM, handler)

    tracking.configure()

    assert signal.getsignal(signal.SIGTERM) is handler


TERMINATED = """
import os, signal, sys, threading, time
import otel_usage
from otel_usage import wiring
from tests.recording import RecordingExporter

class Printing(RecordingExporter):
    def send(self, batch):
        print("stored", len(batch.events), flush=True)

wiring._build_exporter = lambda settings: Printing()
otel_usage.configure(flush_interval_seconds=3600)
if len(sys.argv) > 1:
    wiring.SHUT_DOWN_SECONDS = 0
    lock = wiring.runtime().accounting._lock   # as if the signal came in the middle of counting
for number in range(5):
    otel_usage.track("liked")
if len(sys.argv) > 1:
    with lock:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait(30)
print("still here")
"""


def test_on_sigterm_what_waits_is_sent_and_the_signal_does_what_it_did() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TERMINATED],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=Path(__file__).parents[1],
    )

    assert done.stdout == "stored 5\n"
    assert done.returncode == -signal.SIGTERM


def test_a_sigterm_that_interrupts_our_own_code_does_not_hang() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TERMINATED, "locked"],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=Path(__file__).parents[1],
    )

    assert done.returncode == -signal.SIGTERM


AT_EXIT = TERMINATED.replace("os.kill(os.getpid(), signal.SIGTERM)\nthreading.Event().wait(30)", "").replace(
    'print("still here")', ""
)


def test_at_exit_what_waits_is_sent() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AT_EXIT],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=Path(__file__).parents[1],
    )

    assert (done.stdout, done.returncode, done.stderr) == ("stored 5\n", 0, "")
