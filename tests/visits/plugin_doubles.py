"""Plug-ins, good and bad, for the tests of their registry."""

from __future__ import annotations

from otel_usage.visits.plugins import PluginCounts, PluginRegistry
from otel_usage.visits.visit import Visit

FIRST = Visit("a" * 32, True, "b" * 32, 1_800_000_000_000)
LATER = FIRST._replace(is_new=False)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Noting:
    """Notes each call in a list that it may share with others."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name = name
        self._calls = calls

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Noting)

    __hash__ = object.__hash__

    def new_visit(self, visit: Visit) -> None:
        self._calls.append(f"{self._name} new")

    def record_request(self, visit: Visit) -> None:
        self._calls.append(self._name)


class Slow:
    """Takes as long as it is told to, on the clock of the test."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds

    def record_request(self, visit: Visit) -> None:
        self._clock.now += self.seconds


class Raising:
    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error
        self.calls = 0

    def __repr__(self) -> str:
        return "Raising for 203.0.113.77"

    def record_request(self, visit: Visit) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


def run_often(plugins: PluginRegistry, times: int) -> None:
    for _ in range(times):
        plugins.run(LATER)


def only(plugins: PluginRegistry) -> PluginCounts:
    (counts,) = plugins.counts()
    return counts
