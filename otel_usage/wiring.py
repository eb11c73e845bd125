"""The only wiring: settings → exporter → processor → tracer provider, once per process."""

from __future__ import annotations

import atexit
import dataclasses
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import FrameType

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from otel_usage.attributes import MAX_NAME
from otel_usage.enrich.geo import build_geo_reader
from otel_usage.errors import OtelUsageError, SettingError
from otel_usage.log_throttle import describe_error
from otel_usage.pipeline.accounting import Accounting
from otel_usage.pipeline.events import SCOPE_NAME
from otel_usage.pipeline.exporters import EXPORTER_GROUP, EventExporter, unknown_exporter
from otel_usage.pipeline.exporters.discard import DiscardExporter
from otel_usage.pipeline.processor import SHUT_DOWN_SECONDS, UsageSpanProcessor
from otel_usage.pipeline.rows import to_text
from otel_usage.pipeline.sampler import wrap_sampler
from otel_usage.reports.connection import find_configured_settings_with
from otel_usage.reports.funnels import Funnel, load_funnels
from otel_usage.settings import Settings, env_name
from otel_usage.visits.keys import prepare_generated_secret
from otel_usage.visits.loading import find_visit_manager
from otel_usage.visits.manager import BaseVisitManager
from otel_usage.visits.plugins import visit_plugins

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is in force in this process."""

    settings: Settings
    accounting: Accounting
    processor: UsageSpanProcessor | None
    """None when events are annotated on spans only."""
    tracer: Tracer
    stage_index: Mapping[tuple[str, str], int]
    """Index by funnel and stage, of the funnel file."""
    service_name: str
    """Of the resource of the provider that makes our spans."""
    make_visit_manager: Callable[[], BaseVisitManager] | None
    """None when the setting names none that there is."""

    def build_visit_manager(self, secret: str | bytes) -> BaseVisitManager | None:
        """Return the visit manager of an app; None when it cannot be made, then nobody is followed.

        Args:
            secret: the app's own.
        """
        # Two first requests at once must not set up one manager twice.
        with _wiring.lock:
            return self._set_up_visit_manager(secret)

    def _set_up_visit_manager(self, secret: str | bytes) -> BaseVisitManager | None:
        try:
            manager = self.make_visit_manager() if self.make_visit_manager is not None else None
            if manager is None or manager in _wiring.visit_managers:
                return manager
            manager.set_up(self.settings, secret, service_name=self.service_name)
        except OtelUsageError as error:
            logger.error("%s. Going on without visits.", error)
            return None
        except Exception as error:  # of a manager that is not ours
            logger.error(
                "Could not set up the visit manager: %s. Going on without visits.", describe_error(error)
            )
            return None
        _wiring.visit_managers.append(manager)
        return manager


class _Wiring:
    """The state of the process, in one place so that a test can start from nothing."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.settings: Settings | None = None
        self.selected_exporter: str | None = None
        self.preferred: dict[str, object] = {}
        """Settings that an app's own configuration has, under the names of an older system."""
        self.processor: UsageSpanProcessor | None = None
        self.accounting = Accounting()
        self.own_provider: TracerProvider | None = None
        self.provider: trace.TracerProvider | None = None
        """To which the processor is attached."""
        self.needs_destination = False
        """Somebody reads events back, from wherever they are sent."""
        self.closers: list[Callable[[float], object]] = []
        """Of those who take events in this process, wherever the settings send them."""
        self.funnels: tuple[Funnel, ...] = ()
        self.make_visit_manager: Callable[[], BaseVisitManager] | None = None
        self.visit_managers: list[BaseVisitManager] = []
        self.runtime: Runtime | None = None


_wiring = _Wiring()


def configure(**arguments: object) -> None:
    """Put usage tracking in force for this process. Never raises; what is wrong is logged.

    The launcher does this by itself. Call it by hand, before the first request, in a program that sets up
    OpenTelemetry without the launcher. The first call counts; later ones change nothing.

    Args:
        **arguments: settings by their names in lower case, such as `dsn` or `visit_timeout_seconds`; an
            argument goes before its environment variable.
    """
    try:
        with _wiring.lock:
            if _wiring.settings is not None:
                if arguments:
                    _say_that_it_is_too_late(arguments)
                return
            if not _set_up(arguments):
                return
            if not _attach_to_global_provider():
                # Made now, because the SDK reads files to describe the process, and a request must not.
                _wiring.own_provider = TracerProvider(shutdown_on_exit=False)
    except Exception as error:
        logger.error("Could not configure otel_usage: %s", describe_error(error))


def _say_that_it_is_too_late(arguments: Mapping[str, object]) -> None:
    known = {field.name for field in dataclasses.fields(Settings)}
    late = [name for name in arguments if name in known]
    for name in arguments.keys() - known:
        logger.error("configure() was given %r, which is not a setting", name)
    if late:
        logger.warning(
            "otel_usage is configured already, by the launcher or an earlier call; these arguments come "
            "too late: %s. Set them in the environment instead: %s",
            ", ".join(late),
            ", ".join(map(env_name, late)),
        )


def runtime() -> Runtime | None:
    """Return what is in force, configuring it from the environment at the first call; None when disabled.

    By the first request every provider is in place that ever will be. Where the SDK is still missing we use
    a provider of our own, which nobody else sees.
    """
    ready = _wiring.runtime
    if ready is not None:
        return ready
    if _wiring.settings is not None and _is_disabled(_wiring.settings):
        return None
    with _wiring.lock:
        configure()
        settings = _wiring.settings
        if settings is None or _is_disabled(settings):
            return None
        if not _attach_to_global_provider() and _wiring.own_provider is not None:
            _attach(_wiring.own_provider, settings)
        return _wiring.runtime


def configured_settings() -> Settings | None:
    """Return the settings that are in force; None before anybody configured."""
    return _wiring.settings


find_configured_settings_with(configured_settings)


def select_exporter(name: str) -> None:
    """Prefer an exporter that another setting of the process asked for; `OTEL_USAGE_EXPORTER` goes before it."""
    _wiring.selected_exporter = name


def prefer_geo_endpoint(url: str) -> None:
    """Ask a service where addresses are, as an app says under a key of its own; a setting goes before it.

    Args:
        url: as in the setting GEO_ENDPOINT.
    """
    with _wiring.lock:
        in_force = _wiring.settings
        if in_force is None:
            _wiring.preferred["geo_endpoint"] = url
            return
        if in_force.geo_endpoint or _is_disabled(in_force):
            return
        try:
            Settings.load({}, geo_endpoint=url)
        except SettingError as error:
            logger.error("The geo service of an app: %s. Going on without it.", error)
            return
        # The launcher configures before there is an app.
        _wiring.settings = dataclasses.replace(in_force, geo_endpoint=url)
        if _wiring.processor is not None:
            _wiring.processor.geo.use_endpoint(url)


def need_destination() -> None:
    """Let events leave the process by the default, also where somebody inside takes them: they are to be read back."""
    _wiring.needs_destination = True


def take_events_in_process(close: Callable[[float], object]) -> None:
    """Let events reach somebody inside the process, also where the settings send them nowhere.

    Who it is, each event's `Companion` says.

    Args:
        close: called when the process ends, after the last event, with the seconds that are left.
    """
    with _wiring.lock:
        if close not in _wiring.closers:
            _wiring.closers.append(close)
        settings = _wiring.settings
        if settings is None or _is_disabled(settings) or _wiring.processor is not None:
            return
        _make_processor(settings, DiscardExporter())
        if _wiring.provider is not None:
            _attach(_wiring.provider, settings)


def _is_disabled(settings: Settings) -> bool:
    # The launcher builds providers and processors even when the SDK is switched off.
    return settings.disabled or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _set_up(arguments: Mapping[str, object]) -> bool:
    """Build what the settings ask for, and return False when they switch everything off."""
    preferred = {
        name: value for name, value in _wiring.preferred.items() if not os.environ.get(env_name(name))
    }
    settings = Settings.load_or_default(None, **{**preferred, **arguments})
    if settings.exporter is None and _wiring.selected_exporter is not None:
        settings = dataclasses.replace(settings, exporter=_wiring.selected_exporter)
    _wiring.settings = settings
    if _is_disabled(settings):
        return False
    prepare_generated_secret()
    try:
        _wiring.make_visit_manager = find_visit_manager(settings.visit_manager)
    except OtelUsageError as error:
        # Not the default: whoever asked for a manager without cookies must not get one with them.
        logger.error("%s. Going on without visits.", error)
    _prepare_processor(settings)
    atexit.register(shut_down)
    _flush_on_sigterm()
    # Last, because what a plug-in's module calls of ours while it is imported finds all the rest in place.
    visit_plugins.load_entry_points()
    return True


def shut_down() -> None:
    """Send and write what waits, within `SHUT_DOWN_SECONDS`."""
    deadline = time.monotonic() + SHUT_DOWN_SECONDS
    if _wiring.processor is not None:
        _wiring.processor.shutdown()
    for close in [*(manager.close for manager in _wiring.visit_managers), *_wiring.closers]:
        try:
            close(max(deadline - time.monotonic(), 0.5))
        except Exception as error:  # of a manager or a storage that is not ours
            logger.error("Could not close what takes visits or events: %s", describe_error(error))


def _prepare_processor(settings: Settings) -> None:
    try:
        _wiring.funnels = load_funnels(settings.funnels) if settings.funnels else ()
    except OtelUsageError as error:
        logger.error("%s. Going on without funnels.", error)
    exporter = None if _stays_in_process(settings) else _build_exporter_or_log(settings)
    if exporter is None and _wiring.closers:
        exporter = DiscardExporter()
    if exporter is not None:
        _make_processor(settings, exporter)


def _stays_in_process(settings: Settings) -> bool:
    """Whether somebody in the process takes the events, and nobody has said where else they shall go."""
    is_named = settings.exporter or settings.dsn or settings.otlp_endpoint
    is_wanted = _wiring.needs_destination or not _wiring.closers
    return not (is_wanted or is_named or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def _make_processor(settings: Settings, exporter: EventExporter) -> None:
    _wiring.processor = UsageSpanProcessor(
        exporter,
        funnels=_wiring.funnels,
        ignores_users=settings.ignore_users,
        accounting=_wiring.accounting,
        queue_size=settings.queue_size,
        batch_size=settings.batch_size,
        flush_interval_seconds=settings.flush_interval_seconds,
        geo=build_geo_reader(settings),
    )


def _build_exporter_or_log(settings: Settings) -> EventExporter | None:
    try:
        return _build_exporter(settings)
    except OtelUsageError as error:
        logger.error("%s. Going on without storing usage events.", error)
    except Exception as error:  # of an exporter that is not ours
        logger.error(
            "Could not make the exporter %r: %s. Going on without storing usage events.",
            settings.exporter_name,
            describe_error(error),
        )
    return None


def _build_exporter(settings: Settings) -> EventExporter | None:
    # Imported here, so that a process loads only what it uses.
    name = settings.exporter_name
    if name == "none":
        return None
    if name == "clickhouse":
        from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter

        if settings.dsn is not None and settings.dsn.startswith("chdb:"):
            raise SettingError(
                "OTEL_USAGE_DSN begins with chdb:, which an app must not open: its forked children would hang. "
                "Run `otel-usage serve` and use its http:// address"
            )
        return ClickHouseSpanExporter(settings.dsn)
    if name == "otlp":
        from otel_usage.pipeline.exporters.otlp import OtlpExporter

        return OtlpExporter(settings.resolved_otlp_endpoint())
    if name == "console":
        from otel_usage.pipeline.exporters.console import ConsoleExporter

        return ConsoleExporter()
    return _load_exporter(name, settings)


def _load_exporter(name: str, settings: Settings) -> EventExporter:
    for entry_point in entry_points(group=EXPORTER_GROUP):
        if entry_point.name == name:
            factory: Callable[[Settings], EventExporter] = entry_point.load()
            return factory(settings)
    raise unknown_exporter(name)


def _attach_to_global_provider() -> bool:
    """Attach to the SDK's provider if there is one yet, and return whether we are attached."""
    settings = _wiring.settings
    if settings is None or _is_disabled(settings):
        return False
    provider = trace.get_tracer_provider()
    # Not isinstance: vendors hand out proxies that take processors too, and the API's own proxy does not.
    if _wiring.runtime is None and hasattr(provider, "add_span_processor"):
        _attach(provider, settings)
    return _wiring.runtime is not None


def _attach(provider: trace.TracerProvider, settings: Settings) -> None:
    _wiring.provider = provider
    if _wiring.processor is not None:
        sampler = getattr(provider, "sampler", None)
        if sampler is not None:
            provider.sampler = wrap_sampler(sampler)  # type: ignore[attr-defined]
        provider.add_span_processor(_wiring.processor)  # type: ignore[attr-defined]
    _wiring.runtime = Runtime(
        settings,
        _wiring.accounting,
        _wiring.processor,
        provider.get_tracer(SCOPE_NAME),
        {(funnel.name, stage.name): stage.index for funnel in _wiring.funnels for stage in funnel.stages},
        to_text(getattr(provider, "resource", Resource.get_empty()).attributes.get("service.name"), MAX_NAME),
        _wiring.make_visit_manager,
    )


def _flush_on_sigterm() -> None:
    """Send what waits when the process is told to end, where nobody else would.

    uvicorn, `flask run` and Django's runserver end by the signal's default action, which runs no atexit hook.
    A handler that is there already, such as gunicorn's, stays.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    ):
        return

    def flush_and_end(number: int, frame: FrameType | None) -> None:
        # In a thread of its own: the signal may have interrupted code that holds a lock which the flush needs.
        flusher = threading.Thread(target=shut_down, daemon=True)
        flusher.start()
        flusher.join(SHUT_DOWN_SECONDS + 1)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, flush_and_end)
