"""A plug-in that raises or is slow: kept from the page, counted, named, and paused when it goes on."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.trace import INVALID_SPAN, get_current_span

from otel_usage.visits.plugins import FAILURES_IN_A_ROW, PAUSE_SECONDS, PluginRegistry
from otel_usage.visits.visit import Visit
from tests.visits.plugin_doubles import FIRST, LATER, Clock, Noting, Raising, Slow, only, run_often


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plugins(clock: Clock) -> PluginRegistry:
    return PluginRegistry(clock)


@pytest.fixture
def calls() -> list[str]:
    return []


# Isolation.


def test_what_a_plugin_raises_stays_inside_and_the_others_run(
    plugins: PluginRegistry, calls: list[str]
) -> None:
    plugins.enable(Noting("first", calls))
    plugins.enable(Raising(RuntimeError("of the plug-in")))
    plugins.enable(Noting("last", calls))

    plugins.run(LATER)

    assert calls == ["first", "last"]
    assert [counts.raised for counts in plugins.counts()] == [0, 1, 0]


@pytest.mark.parametrize(
    "error", [StopIteration(), RecursionError(), MemoryError(), GeneratorExit()], ids=repr
)
def test_odd_errors_stay_inside_too(plugins: PluginRegistry, error: BaseException) -> None:
    plugins.enable(Raising(error))

    plugins.run(LATER)

    assert only(plugins).raised == 1


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_the_end_of_the_process_goes_through_a_plugin(plugins: PluginRegistry, error: BaseException) -> None:
    plugins.enable(Raising(error))

    with pytest.raises(type(error)):
        plugins.run(LATER)

    assert get_current_span() is INVALID_SPAN


def test_a_new_visit_that_raises_does_not_cost_the_request_its_call(plugins: PluginRegistry) -> None:
    class HalfBroken:
        seen: list[Visit] = []

        def new_visit(self, visit: Visit) -> None:
            raise RuntimeError("of the plug-in")

        def record_request(self, visit: Visit) -> None:
            self.seen.append(visit)

    plugins.enable(HalfBroken())

    plugins.run(FIRST)

    assert HalfBroken.seen == [FIRST]
    assert (only(plugins).requests, only(plugins).raised) == (1, 1)


def test_the_log_names_the_plugin_by_its_type_and_says_nothing_of_its_content(
    plugins: PluginRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.enable(Raising(RuntimeError("Mozilla of 203.0.113.78")))

    plugins.run(LATER)

    (message,) = caplog.messages
    assert "tests.visits.plugin_doubles.Raising raised" in message
    assert "RuntimeError at tests.visits.plugin_doubles:" in message
    assert "203.0.113" not in message


def test_the_same_trouble_is_logged_once_a_minute(
    plugins: PluginRegistry, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.enable(Raising(RuntimeError("of the plug-in")))
    run_often(plugins, 5)
    clock.now += 60

    plugins.run(LATER)

    assert len(caplog.messages) == 3
    assert caplog.messages[2] == "(4 more like this since the last such line)"


def test_an_error_does_not_keep_the_request_alive(plugins: PluginRegistry) -> None:
    error = RuntimeError("of the plug-in")
    plugins.enable(Raising(error))

    before = sys.getrefcount(error)
    error.__traceback__ = None
    plugins.run(LATER)
    error.__traceback__ = None

    assert sys.getrefcount(error) == before


# Slow ones, and the pause.


@pytest.mark.parametrize(("seconds", "slow"), [(0.0, 0), (0.049, 0), (0.051, 1), (3.0, 1)])
def test_a_call_of_more_than_50_ms_is_counted_as_slow(
    plugins: PluginRegistry, clock: Clock, seconds: float, slow: int
) -> None:
    plugins.enable(Slow(clock, seconds))

    plugins.run(LATER)

    assert only(plugins).slow == slow
    assert only(plugins).slowest_ms == pytest.approx(seconds * 1000)


def test_a_slow_plugin_is_named_in_the_log_at_intervals(
    plugins: PluginRegistry, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.enable(Slow(clock, 0.08))

    run_often(plugins, 3)

    assert caplog.messages == [
        "The visit plug-in tests.visits.plugin_doubles.Slow took 80 ms of a request, more than 50"
    ]


def test_both_calls_of_a_new_visit_are_timed_together(plugins: PluginRegistry, clock: Clock) -> None:
    class Twice(Slow):
        def new_visit(self, visit: Visit) -> None:
            self.record_request(visit)

    plugins.enable(Twice(clock, 0.03))

    plugins.run(FIRST)
    plugins.run(LATER)

    assert only(plugins).slow == 1


def test_the_tenth_failure_in_a_row_pauses_for_a_minute(plugins: PluginRegistry, clock: Clock) -> None:
    plugin = Raising(RuntimeError("of the plug-in"))
    plugins.enable(plugin)

    run_often(plugins, FAILURES_IN_A_ROW + 5)

    assert plugin.calls == FAILURES_IN_A_ROW
    assert only(plugins)[1:6] == (FAILURES_IN_A_ROW, FAILURES_IN_A_ROW, 0, 5, True)
    clock.now += PAUSE_SECONDS - 0.001
    plugins.run(LATER)
    assert plugin.calls == FAILURES_IN_A_ROW
    clock.now += 0.001
    plugins.run(LATER)
    assert plugin.calls == FAILURES_IN_A_ROW + 1


def test_slowness_and_errors_add_up_to_a_pause(plugins: PluginRegistry, clock: Clock) -> None:
    class Both(Slow):
        def record_request(self, visit: Visit) -> None:
            super().record_request(visit)
            if self.seconds == 0:
                raise RuntimeError("of the plug-in")

    plugin = Both(clock, 0.06)
    plugins.enable(plugin)

    run_often(plugins, FAILURES_IN_A_ROW - 1)
    plugin.seconds = 0
    plugins.run(LATER)

    assert only(plugins).is_paused


def test_one_good_request_begins_the_row_anew(plugins: PluginRegistry) -> None:
    plugin = Raising(RuntimeError("of the plug-in"))
    plugins.enable(plugin)
    run_often(plugins, FAILURES_IN_A_ROW - 1)
    plugin.error = None
    plugins.run(LATER)
    plugin.error = RuntimeError("again")

    run_often(plugins, FAILURES_IN_A_ROW - 1)

    assert not only(plugins).is_paused


def test_the_first_failure_after_a_pause_is_one_too_many(plugins: PluginRegistry, clock: Clock) -> None:
    plugins.enable(Raising(RuntimeError("of the plug-in")))
    run_often(plugins, FAILURES_IN_A_ROW)
    clock.now += PAUSE_SECONDS

    run_often(plugins, 2)

    assert only(plugins).is_paused
    assert (only(plugins).raised, only(plugins).skipped) == (FAILURES_IN_A_ROW + 1, 1)


def test_a_plugin_that_is_well_again_after_its_pause_goes_on(plugins: PluginRegistry, clock: Clock) -> None:
    plugin = Raising(RuntimeError("of the plug-in"))
    plugins.enable(plugin)
    run_often(plugins, FAILURES_IN_A_ROW)
    clock.now += PAUSE_SECONDS
    plugin.error = None

    run_often(plugins, 20)

    assert plugin.calls == FAILURES_IN_A_ROW + 20
    assert not only(plugins).is_paused


def test_a_pause_is_told_once_with_its_reason(
    plugins: PluginRegistry, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.enable(Slow(clock, 0.06))

    run_often(plugins, 30)

    assert caplog.messages[1:] == [
        "The visit plug-in tests.visits.plugin_doubles.Slow is paused for 60 seconds: "
        "it was slow or raised in 10 requests in a row"
    ]


def test_a_paused_plugin_leaves_the_others_alone(plugins: PluginRegistry, calls: list[str]) -> None:
    plugins.enable(Raising(RuntimeError("of the plug-in")))
    plugins.enable(Noting("good", calls))

    run_often(plugins, 30)

    assert calls == ["good"] * 30
