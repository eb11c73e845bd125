"""Slow sources: a batch waits for all its addresses together, and not again while old questions are open."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from otel_usage.enrich import geo_background
from otel_usage.enrich.geo_background import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    GeoBackground,
    SourceUnavailable,
)
from otel_usage.model import Attributes
from tests.enrich.geo_sources import CH, LONG, Clock, Hanging, Source
from tests.serving import wait_for


def refuse(address: str) -> Attributes:
    raise SourceUnavailable("gave no answer")


def test_the_first_batch_has_its_answers_and_each_address_is_asked_for_once() -> None:
    source = Source()
    background = GeoBackground(source, wait_seconds=LONG)

    for _ in range(3):
        background.look_ahead(["192.0.2.1", "192.0.2.2"])

    assert [background.find(address) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3")] == [CH, CH, {}]
    assert source.asked == ["192.0.2.1", "192.0.2.2"]


def test_nobody_waits_again_for_a_source_that_hangs_and_its_answers_serve_later_events() -> None:
    source = Hanging()
    background = GeoBackground(source, wait_seconds=0.01)
    background.look_ahead(["192.0.2.1"])
    background._wait_seconds = LONG

    for number in range(2, 100):
        background.look_ahead([f"192.0.2.{number}"])

    assert background.find("192.0.2.1") == {}
    source.goes_on.set()
    wait_for(lambda: background.find("192.0.2.99") == CH, "the last answer")
    background.look_ahead(["198.51.100.1"])
    assert background.find("198.51.100.1") == CH


def test_who_asks_right_after_the_last_answer_waits_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    source, goes_on = Hanging(), threading.Event()
    background = GeoBackground(source, wait_seconds=0.01)
    background.look_ahead(["192.0.2.1"])
    background._wait_seconds = LONG
    take_next = background._next

    def take_next_late() -> str | None:
        goes_on.wait(LONG)
        return take_next()

    monkeypatch.setattr(background, "_next", take_next_late)
    source.goes_on.set()
    wait_for(lambda: background.find("192.0.2.1") == CH, "the first answer")

    asking = threading.Thread(target=background.look_ahead, args=(["192.0.2.2"],))
    asking.start()
    asking.join(0.2)
    assert asking.is_alive()
    goes_on.set()
    asking.join(LONG)
    assert background.find("192.0.2.2") == CH


def test_questions_that_wait_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geo_background, "_MOST_WAITING", 3)
    source = Hanging()
    background = GeoBackground(source, wait_seconds=0.01)

    for number in range(20):
        background.look_ahead([f"192.0.2.{number}"])

    assert len(background._waiting) == 3
    source.goes_on.set()
    wait_for(lambda: not background._waiting, "the end of the questions")


def test_answers_that_are_remembered_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geo_background, "_MOST_REMEMBERED", 3)
    background = GeoBackground(Source(), wait_seconds=LONG)

    background.look_ahead([f"192.0.2.{number}" for number in range(10)])

    assert list(background._known) == ["192.0.2.7", "192.0.2.8", "192.0.2.9"]


def test_a_source_that_fails_is_left_alone_for_longer_each_time(caplog: pytest.LogCaptureFixture) -> None:
    clock, source = Clock(), Source(refuse)
    background = GeoBackground(source, wait_seconds=LONG, clock=clock)
    pauses = []

    for _ in range(7):
        background.look_ahead(["192.0.2.1"])
        asked, began = len(source.asked), clock.now
        while len(source.asked) == asked:
            clock.now += FIRST_PAUSE_SECONDS / 2
            background.look_ahead(["192.0.2.1"])
        pauses.append(clock.now - began)

    assert pauses == [30, 60, 120, 240, 480, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    assert caplog.records[0].getMessage() == (
        "The source gave no answer. It is left alone for 30 seconds; events go on without a country"
    )


def test_a_failure_costs_those_who_wait_nothing_more() -> None:
    source = Source(refuse)
    background = GeoBackground(source, wait_seconds=LONG)

    background.look_ahead([f"192.0.2.{number}" for number in range(100)])

    assert source.asked == ["192.0.2.0"]


def test_an_error_about_one_address_keeps_no_other_from_its_answer(caplog: pytest.LogCaptureFixture) -> None:
    def answer(address: str) -> Attributes:
        if address == "192.0.2.1":
            raise KeyError(address)
        return CH

    background = GeoBackground(Source(answer), wait_seconds=LONG)

    background.look_ahead(["192.0.2.1", "192.0.2.2"])

    assert [background.find("192.0.2.1"), background.find("192.0.2.2")] == [{}, CH]
    assert "The source failed: KeyError at" in caplog.text
    assert "192.0.2.1" not in caplog.text


def test_an_answer_is_asked_for_again_a_day_later_and_nothing_an_hour_later() -> None:
    clock = Clock()
    source = Source(lambda address: CH if address == "192.0.2.1" else {})
    background = GeoBackground(source, wait_seconds=LONG, clock=clock)
    asked = []

    for clock.now in (0, 3599, 3600, 86_399, 86_400):
        before = len(source.asked)
        background.look_ahead(["192.0.2.1", "192.0.2.2"])
        asked.append([address[-1] for address in source.asked[before:]])

    assert asked == [["1", "2"], [], ["2"], ["2"], ["1"]]


def test_a_thread_without_work_ends_and_another_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geo_background, "_IDLE_SECONDS", 0.01)
    background = GeoBackground(Source(), wait_seconds=LONG)
    background.look_ahead(["192.0.2.1"])
    wait_for(lambda: background._thread is None, "the end of the thread")

    background.look_ahead(["192.0.2.2"])

    assert background.find("192.0.2.2") == CH


FORKING = """
import os, sys, threading
from pathlib import Path
from otel_usage.enrich.geo import GeoReader
from otel_usage.enrich.geo_background import GeoBackground
from otel_usage.enrich.geo_database import GeoDatabase
from tests.enrich.geo_sources import Hanging, Source
from tests.mmdb import write_database

path = write_database(Path(sys.argv[1]), {"203.0.113.0/24": {"country": "DE"}})
hanging = Hanging()
endpoint = GeoBackground(hanging, wait_seconds=0.01)
geo = GeoReader(lookup=GeoBackground(Source(), wait_seconds=30), database=GeoDatabase(str(path)), endpoint=endpoint)
geo.prepare()
geo.look_ahead({"192.0.2.1": True})
endpoint.look_ahead(["192.0.2.9"])  # whose thread is in the middle of it
child = os.fork()
if child == 0:
    hanging.goes_on.set()
    endpoint._wait_seconds = 30
    geo.look_ahead({"192.0.2.2": True})
    endpoint.look_ahead(["192.0.2.9"])
    print(*[dict(found) for found in (geo.find("192.0.2.1"), geo.find("192.0.2.2"), endpoint.find("192.0.2.9"))])
    print(dict(GeoReader(database=geo._database).find("203.0.113.1")), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


def test_a_forked_child_asks_and_looks_up_by_itself(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]

    lines = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path / "geo.mmdb")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    ).stdout.splitlines()

    assert lines == [" ".join([str(dict(CH))] * 3), "{'geo.country.iso_code': 'DE'}", "0"]
