"""Which visit plug-ins are called, when, and in which order."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping

import pytest

from otel_usage.visits.plugins import PluginRegistry
from otel_usage.visits.visit import Visit
from tests.visits.plugin_doubles import FIRST, LATER, Clock, Noting, only, run_often


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plugins(clock: Clock) -> PluginRegistry:
    return PluginRegistry(clock)


@pytest.fixture
def calls() -> list[str]:
    return []


# Who is called, and when.


def test_plugins_are_called_in_the_order_in_which_they_were_enabled(
    plugins: PluginRegistry, calls: list[str]
) -> None:
    for name in "bac":
        plugins.enable(Noting(name, calls))

    plugins.run(LATER)

    assert calls == ["b", "a", "c"]


def test_a_new_visit_is_told_before_its_request_and_only_once(
    plugins: PluginRegistry, calls: list[str]
) -> None:
    plugins.enable(Noting("a", calls))

    for visit in (FIRST, LATER, LATER):
        plugins.run(visit)

    assert calls == ["a new", "a", "a", "a"]


def test_a_plain_function_is_told_of_every_request(plugins: PluginRegistry) -> None:
    seen: list[Visit] = []
    plugins.enable(seen.append)

    plugins.run(FIRST)
    plugins.run(LATER)

    assert seen == [FIRST, LATER]


def test_an_object_may_care_for_new_visits_alone(plugins: PluginRegistry) -> None:
    class Opened:
        seen: list[Visit] = []

        def new_visit(self, visit: Visit) -> None:
            self.seen.append(visit)

    plugins.enable(Opened())

    plugins.run(FIRST)
    plugins.run(LATER)

    assert Opened.seen == [FIRST]


def test_of_a_class_an_instance_is_made_and_the_class_takes_it_out_again(plugins: PluginRegistry) -> None:
    class Counting:
        made = 0

        def __init__(self) -> None:
            Counting.made += 1

        def record_request(self, visit: Visit) -> Mapping[str, int]:
            return {"made": self.made}

    plugins.enable(Counting)

    assert [dict(plugins.run(LATER)) for _ in range(2)] == [{"usage.property.made": "1"}] * 2
    plugins.disable(Counting)
    assert not plugins.enabled


def test_enabled_twice_it_is_called_once_at_its_first_place(
    plugins: PluginRegistry, calls: list[str]
) -> None:
    first, second = Noting("first", calls), Noting("second", calls)
    for plugin in (first, second, first):
        plugins.enable(plugin)

    plugins.run(LATER)

    assert calls == ["first", "second"]


def test_disabled_it_is_called_no_more_and_its_equal_stays(plugins: PluginRegistry, calls: list[str]) -> None:
    first, second = Noting("first", calls), Noting("second", calls)
    plugins.enable(first)
    plugins.enable(second)

    plugins.disable(second)
    plugins.run(LATER)

    assert first == second
    assert calls == ["first"]


def test_a_bound_method_is_known_again(plugins: PluginRegistry, calls: list[str]) -> None:
    mine, equal = Noting("mine", calls), Noting("equal", calls)
    for method in (mine.record_request, mine.record_request, equal.record_request):
        plugins.enable(method)
    plugins.run(LATER)

    plugins.disable(mine.record_request)
    plugins.run(LATER)

    assert calls == ["mine", "equal", "equal"]


def test_a_method_of_a_built_in_type_is_known_again(plugins: PluginRegistry) -> None:
    mine: list[Visit] = []
    equal: list[Visit] = []
    for method in (mine.append, mine.append, equal.append):
        plugins.enable(method)

    plugins.disable(mine.append)
    plugins.run(LATER)

    assert (mine, equal) == ([], [LATER])


def test_disabling_what_is_not_enabled_changes_nothing(plugins: PluginRegistry, calls: list[str]) -> None:
    plugins.enable(Noting("a", calls))

    plugins.disable(Noting("a", calls))
    plugins.disable(None)
    plugins.run(LATER)

    assert calls == ["a"]


def test_enabled_again_it_comes_last_with_a_new_record(plugins: PluginRegistry, calls: list[str]) -> None:
    first, second = Noting("first", calls), Noting("second", calls)
    plugins.enable(first)
    plugins.enable(second)
    plugins.run(LATER)

    plugins.disable(first)
    plugins.enable(first)
    plugins.run(LATER)

    assert calls[2:] == ["second", "first"]
    assert [counts.requests for counts in plugins.counts()] == [2, 1]


def test_a_plugin_that_disables_itself_ends_with_this_request(
    plugins: PluginRegistry, calls: list[str]
) -> None:
    def once(visit: Visit) -> None:
        calls.append("once")
        plugins.disable(once)

    plugins.enable(once)
    plugins.enable(Noting("next", calls))

    run_often(plugins, 2)

    assert calls == ["once", "next", "next"]


# What cannot be enabled.


async def asynchronous(visit: Visit) -> None:
    """Would be made, and never awaited."""


def generator(visit: Visit) -> Iterator[None]:
    yield


class Unmakeable:
    def __init__(self) -> None:
        raise RuntimeError("203.0.113.77")

    def record_request(self, visit: Visit) -> None:
        """Never called."""


class BrokenProperty:
    @property
    def record_request(self) -> None:
        raise RuntimeError("203.0.113.77")


class NotCallable:
    record_request = "yes"


@pytest.mark.parametrize(
    "plugin",
    [None, 7, "shop.plugins", object(), asynchronous, generator, NotCallable(), Unmakeable, BrokenProperty()],
    ids=str,
)
def test_what_is_no_plugin_is_refused_in_the_log_and_harms_nobody(
    plugins: PluginRegistry, calls: list[str], caplog: pytest.LogCaptureFixture, plugin: object
) -> None:
    plugins.enable(Noting("good", calls))

    plugins.enable(plugin)
    plugins.run(LATER)

    assert calls == ["good"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().endswith("Going on without it.")
    assert "203.0.113.77" not in record.getMessage()


# Threads and forks.


def test_every_call_is_counted_whatever_is_enabled_meanwhile(plugins: PluginRegistry) -> None:
    done = threading.Event()
    plugins.enable(lambda visit: None)

    def change() -> None:
        while not done.is_set():
            plugins.enable(change)
            plugins.disable(change)

    changer = threading.Thread(target=change)
    runners = [threading.Thread(target=run_often, args=(plugins, 2000)) for _ in range(4)]
    for thread in (changer, *runners):
        thread.start()
    for thread in runners:
        thread.join()
    done.set()
    changer.join()

    assert plugins.counts()[0].requests == 8000


def test_requests_that_fail_side_by_side_pause_it_once(
    plugins: PluginRegistry, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    together = threading.Barrier(20)

    def record(visit: Visit) -> None:
        together.wait(30)
        raise RuntimeError("of the plug-in")

    plugins.enable(record)
    threads = [threading.Thread(target=plugins.run, args=(LATER,)) for _ in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert only(plugins).raised == 20
    assert len([message for message in caplog.messages if "is paused" in message]) == 1


FORKING = """
import os
from otel_usage.visits.plugins import PluginRegistry
from otel_usage.visits.visit import Visit

plugins = PluginRegistry()
plugins.enable(lambda visit: None)
visit = Visit("a" * 32, False, "b" * 32, 0)
plugins.run(visit)
plugins.enabled[0]._lock.acquire()
child = os.fork()
if child == 0:
    plugins.run(visit)
    plugins.run(visit)
    os._exit(plugins.counts()[0].requests)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_worker_begins_a_record_of_its_own_though_the_parents_was_locked() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=30, check=True
    )

    assert finished.stdout == "2\n"
