"""Visit plug-ins: code of the app, or of a package, that is told of the visit of each tracked request.

They run on the request thread, so none of them may break a page or slow every one of them: what a plug-in raises
stays here, its time is measured, and one that keeps failing is left out for a while.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from itertools import islice
from types import BuiltinMethodType, MethodType
from typing import Any, NamedTuple, Protocol, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry import trace

from otel_usage import attributes as names
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.model import AttributeValue
from otel_usage.pipeline.rows import to_text
from otel_usage.visits.pending_span import PendingSpan
from otel_usage.visits.visit import Visit

logger = logging.getLogger(__name__)

PLUGIN_GROUP = "otel_usage_plugin"

SLOW_SECONDS = 0.05
"""A plug-in that takes longer than this in one request is counted as slow."""
FAILURES_IN_A_ROW = 10
"""So many requests in a row in which it was slow or raised, and a plug-in is paused."""
PAUSE_SECONDS = 60.0
"""After the pause it gets one request to show that it works again."""

_BOUND_METHODS = (MethodType, BuiltinMethodType)

_Call: TypeAlias = Callable[[Visit], object]


class RequestPlugin(Protocol):
    """A plug-in that is told of every request. It may have `new_visit` too."""

    def record_request(self, visit: Visit, /) -> object:
        """Take note of a request; a mapping that is returned becomes properties of its event."""


class NewVisitPlugin(Protocol):
    """A plug-in that is told of new visits."""

    def new_visit(self, visit: Visit, /) -> object:
        """Take note of the request that opened a visit; a mapping that is returned becomes properties of its event."""


VisitPlugin: TypeAlias = RequestPlugin | NewVisitPlugin | _Call | type


class PluginCounts(NamedTuple):
    """What a plug-in has done in this process since it was enabled."""

    name: str
    """Module and type, or module and function."""
    requests: int
    """Requests in which it was called."""
    raised: int
    """Requests in which it raised."""
    slow: int
    """Requests in which it took more than 50 ms."""
    skipped: int
    """Requests that went by while it was paused."""
    is_paused: bool
    slowest_ms: float


class _EnabledPlugin:
    """A plug-in with its record."""

    def __init__(self, given: object, clock: Callable[[], float]) -> None:
        self.given = given
        self.name = _name_of(given)
        self._clock = clock
        self._calls, self._calls_of_new_visit = _calls_of(given() if inspect.isclass(given) else given)
        self._raised_log = LogThrottle(clock=clock)
        self._slow_log = LogThrottle(clock=clock)
        self.reset()

    def reset(self) -> None:
        """Begin a new record. A forked worker does: it has called nobody yet, and the lock may be held for ever."""
        self._lock = threading.Lock()
        self._requests = self._raised = self._slow = self._skipped = self._failures_in_a_row = 0
        self._slowest_seconds = 0.0
        self._paused_until = float("-inf")

    def counts(self) -> PluginCounts:
        with self._lock:
            return PluginCounts(
                self.name,
                self._requests,
                self._raised,
                self._slow,
                self._skipped,
                self._clock() < self._paused_until,
                self._slowest_seconds * 1000,
            )

    def take_turn(self, visit: Visit, properties: dict[str, AttributeValue]) -> None:
        """Call the plug-in for one request, and add what it returns to the properties."""
        started = self._clock()
        if started < self._paused_until:
            with self._lock:
                self._skipped += 1
            return
        trouble = ""
        for call in self._calls_of_new_visit if visit.is_new else self._calls:
            try:
                _add_properties(properties, call(visit))
            # Nothing wider: a server ends a worker, and cancels a request, by raising through whatever runs.
            except (Exception, GeneratorExit) as error:
                trouble = trouble or describe_error(error)
        self._note_turn(trouble, started, self._clock())

    def _note_turn(self, trouble: str, started: float, now: float) -> None:
        seconds = now - started
        is_slow = seconds > SLOW_SECONDS
        is_paused_now = False
        with self._lock:
            self._requests += 1
            self._raised += bool(trouble)
            self._slow += is_slow
            if seconds > self._slowest_seconds:
                self._slowest_seconds = seconds
            # Not set back by the pause, so that the first failure after it is one too many again.
            self._failures_in_a_row = self._failures_in_a_row + 1 if trouble or is_slow else 0
            if self._failures_in_a_row >= FAILURES_IN_A_ROW and now >= self._paused_until:
                self._paused_until = now + PAUSE_SECONDS
                is_paused_now = True
        if trouble:
            self._raised_log.log(
                logger,
                logging.ERROR,
                "The visit plug-in %s raised, the request goes on without it: %s",
                self.name,
                trouble,
            )
        if is_slow:
            self._slow_log.log(
                logger,
                logging.WARNING,
                "The visit plug-in %s took %d ms of a request, more than %d",
                self.name,
                seconds * 1000,
                SLOW_SECONDS * 1000,
            )
        if is_paused_now:
            logger.warning(
                "The visit plug-in %s is paused for %d seconds: it was slow or raised in %d requests in a row",
                self.name,
                PAUSE_SECONDS,
                FAILURES_IN_A_ROW,
            )


class PluginRegistry:
    """The plug-ins of a process, in the order in which they are called."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without a plug-in.

        Args:
            clock: seconds that never go back.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._of_packages: tuple[_EnabledPlugin, ...] = ()
        self._of_the_app: tuple[_EnabledPlugin, ...] = ()
        self.enabled: tuple[_EnabledPlugin, ...] = ()
        """Those to call, replaced as a whole, so that a request in progress keeps the ones that it began with."""
        os.register_at_fork(after_in_child=self._reset_after_fork)

    def enable(self, plugin: object) -> None:
        """Add a plug-in at the end, unless this very object is there already."""
        made = self._make(plugin)
        if made is None:
            return
        with self._lock:
            if not _holds(self.enabled, plugin):
                self._of_the_app = (*self._of_the_app, made)
                self._order()

    def disable(self, plugin: object) -> None:
        """Take this very object out; others that are equal to it stay."""
        with self._lock:
            self._of_packages = _without(self._of_packages, plugin)
            self._of_the_app = _without(self._of_the_app, plugin)
            self._order()

    def load_entry_points(self) -> None:
        """Enable what installed packages register, by name and ahead of the app's own. What is broken is logged."""
        loaded: list[_EnabledPlugin] = []
        for entry_point in sorted(entry_points(group=PLUGIN_GROUP), key=lambda entry_point: entry_point.name):
            try:
                plugin = entry_point.load()
            except Exception as error:  # of a package that is not ours
                logger.error(
                    "Could not load the visit plug-in %r: %s. Going on without it.",
                    to_text(entry_point.name, names.MAX_NAME),
                    describe_error(error),
                )
                continue
            made = self._make(plugin)
            if made is not None and not _holds(loaded, plugin):
                loaded.append(made)
        with self._lock:
            self._of_packages = tuple(loaded)
            self._order()

    def run(self, visit: Visit) -> Mapping[str, AttributeValue]:
        """Call every plug-in for the current request, and return the attributes that they add to its span."""
        span = PendingSpan(trace.get_current_span().get_span_context())
        properties: dict[str, AttributeValue] = {}
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            for plugin in self.enabled:
                plugin.take_turn(visit, properties)
        finally:
            otel_context.detach(token)
        return {**span.attributes, **properties}

    def counts(self) -> list[PluginCounts]:
        """Return the record of each plug-in, in the order in which they are called."""
        return [plugin.counts() for plugin in self.enabled]

    def _make(self, plugin: object) -> _EnabledPlugin | None:
        try:
            return _EnabledPlugin(plugin, self._clock)
        except TypeError as error:
            logger.error("%s is no visit plug-in: %s. Going on without it.", _name_of(plugin), error)
        except Exception as error:  # of its class
            logger.error(
                "Could not make the visit plug-in %s: %s. Going on without it.",
                _name_of(plugin),
                describe_error(error),
            )
        return None

    def _order(self) -> None:
        own = (plugin for plugin in self._of_the_app if not _holds(self._of_packages, plugin.given))
        self.enabled = (*self._of_packages, *own)

    def _reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        for plugin in (*self._of_packages, *self._of_the_app):
            plugin.reset()


visit_plugins = PluginRegistry()
"""Those of this process."""


def enable_visit_plugin(plugin: VisitPlugin) -> None:
    """Have a plug-in called at the start of each tracked request that has a visit. Never raises.

    Plug-ins are called in the order in which they were enabled, after those that installed packages register.
    The same object is called once, however often it is enabled.

    Args:
        plugin: an object with `record_request(visit)`, with `new_visit(visit)` for the request that opened the
            visit, called first, or with both; or a function, which is then its own `record_request`. Of a class,
            an instance is made. A mapping that it returns, up to 32 entries, becomes properties of the event.
    """
    visit_plugins.enable(plugin)


def disable_visit_plugin(plugin: VisitPlugin) -> None:
    """Stop calling a plug-in, told by identity; one that is not enabled changes nothing. Never raises."""
    visit_plugins.disable(plugin)


def plugin_counts() -> list[PluginCounts]:
    """Return what each plug-in has done in this process, in the order in which they are called."""
    return visit_plugins.counts()


def _holds(plugins: Iterable[_EnabledPlugin], given: object) -> bool:
    return any(_is_same(plugin.given, given) for plugin in plugins)


def _without(plugins: Iterable[_EnabledPlugin], given: object) -> tuple[_EnabledPlugin, ...]:
    return tuple(plugin for plugin in plugins if not _is_same(plugin.given, given))


def _is_same(one: object, other: object) -> bool:
    # A bound method is a new object each time it is asked for; two are equal when they are bound to the same one.
    if isinstance(one, _BOUND_METHODS) and isinstance(other, _BOUND_METHODS):
        return one == other
    return one is other


def _name_of(plugin: object) -> str:
    """Return module and name of a function, class or module, else those of the object's type; never its own text."""
    if inspect.ismodule(plugin):
        return to_text(plugin.__name__, names.MAX_NAME)
    named: Any = plugin if inspect.isroutine(plugin) or inspect.isclass(plugin) else type(plugin)
    # Methods of built-in types have no module.
    module = getattr(named, "__module__", None)
    return to_text(f"{module}.{named.__qualname__}" if module else named.__qualname__, names.MAX_NAME)


def _calls_of(plugin: object) -> tuple[tuple[_Call, ...], tuple[_Call, ...]]:
    """Return what is called in every request, and what in one that opens a visit.

    Raises:
        TypeError: nothing can be called.
    """
    new_visit: Any = getattr(plugin, "new_visit", None)
    record_request: Any = getattr(plugin, "record_request", None)
    if record_request is None and new_visit is None and callable(plugin):
        record_request = plugin
    calls: list[_Call] = [call for call in (new_visit, record_request) if call is not None]
    if not calls:
        raise TypeError("it has no record_request(visit) and is no function")
    for call in calls:
        if not callable(call):
            raise TypeError("its record_request or new_visit cannot be called")
        if (
            inspect.iscoroutinefunction(call)
            or inspect.isasyncgenfunction(call)
            or inspect.isgeneratorfunction(call)
        ):
            raise TypeError("its functions must be plain ones, neither async nor generators")
    return tuple(call for call in calls if call is not new_visit), tuple(calls)


def _add_properties(properties: dict[str, AttributeValue], result: object) -> None:
    """Add what a call returned, kept as `track()` keeps it; anything but a mapping says nothing."""
    # The usual types first: asking whether something is a mapping takes longer than the rest.
    if result is None or not (result.__class__ is dict or isinstance(result, Mapping)):
        return
    # Made whole before any of it counts: the texts of somebody else's objects may raise.
    added = {
        names.PROPERTY_PREFIX + to_text(str(key), names.MAX_NAME): to_text(str(value), names.MAX_TEXT)
        for key, value in islice(result.items(), names.MAX_PROPERTIES)
    }
    for name, text in added.items():
        if name in properties or len(properties) < names.MAX_PROPERTIES:
            properties[name] = text
