from __future__ import annotations

import gc
import logging
import os
import random
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from otel_usage import attributes as names
from otel_usage.errors import DeliveryError, RejectedBatch
from otel_usage.pipeline import sender as sender_module
from otel_usage.pipeline.accounting import Accounting, AccountingSnapshot
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.exporters import Batch
from otel_usage.pipeline.worker import BatchWorker
from otel_usage.reports.funnels import Funnel, Stage
from tests.pipeline.spans import build_span
from tests.recording import RecordingExporter
from tests.serving import wait_for


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "_FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(sender_module, "_LAST_RETRY_SECONDS", 0.002)


SECONDS = 30.0
"""How long a test waits for what must happen."""


class Pipeline:
    """A worker with its accounting, and an exporter to look at."""

    def __init__(
        self,
        exporter: RecordingExporter | None = None,
        *,
        queue_size: int = 1000,
        batch_size: int = 100,
        flush_interval_seconds: float = 60.0,
        funnels: tuple[Funnel, ...] = (),
    ) -> None:
        self.exporter = exporter or RecordingExporter()
        self.accounting = Accounting()
        self.worker = BatchWorker(
            self.exporter,
            EventMaker(funnels),
            self.accounting,
            queue_size=queue_size,
            batch_size=batch_size,
            flush_interval_seconds=flush_interval_seconds,
        )

    def offer(self, count: int) -> None:
        for _ in range(count):
            self.worker.offer(build_span())


def settled(snapshot: AccountingSnapshot) -> int:
    return (
        snapshot.stored
        + snapshot.waiting
        + sum(snapshot.filtered.values())
        + sum(snapshot.rejected.values())
        + sum(snapshot.dropped.values())
    )


class Blocking:
    """Makes `send` wait until it is told to go on."""

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()

    def __call__(self, attempt: int) -> None:
        self.started.set()
        assert self.go_on.wait(SECONDS)


def test_what_is_offered_is_delivered() -> None:
    pipeline = Pipeline()
    pipeline.offer(5)

    assert pipeline.worker.flush(SECONDS)

    assert len(pipeline.exporter.events) == 5
    assert pipeline.accounting.snapshot() == AccountingSnapshot(5, 5, 0, {}, {}, {})


def test_a_full_batch_goes_at_once_and_the_rest_with_a_flush() -> None:
    pipeline = Pipeline(batch_size=10, flush_interval_seconds=3600.0)
    pipeline.offer(25)
    wait_for(lambda: len(pipeline.exporter.events) >= 20, "the delivery of the full batches")

    assert pipeline.worker.flush(SECONDS)
    assert sum(len(batch.events) for batch in pipeline.exporter.delivered) == 25
    assert max(len(batch.events) for batch in pipeline.exporter.delivered) == 10


def test_the_interval_sends_a_batch_that_is_not_full() -> None:
    delivered = threading.Event()
    pipeline = Pipeline(RecordingExporter(lambda attempt: delivered.set()), flush_interval_seconds=0.01)

    pipeline.offer(1)

    assert delivered.wait(SECONDS)


def test_a_full_queue_drops_the_newest_and_counts_them(caplog: pytest.LogCaptureFixture) -> None:
    blocking = Blocking()
    pipeline = Pipeline(RecordingExporter(blocking), queue_size=10, batch_size=1)
    # One batch is under way, one waits behind it, and the worker holds a third one that nobody takes.
    for _ in range(3):
        pipeline.offer(1)
        wait_for(lambda: not pipeline.worker._queue, "the worker took the batch")

    pipeline.offer(30)
    snapshot = pipeline.accounting.snapshot()
    blocking.go_on.set()
    assert pipeline.worker.flush(SECONDS)

    assert snapshot == AccountingSnapshot(33, 0, 13, {}, {}, {"queue_full": 20})
    assert len(pipeline.exporter.events) == 13
    assert [record.getMessage() for record in caplog.records] == [
        "Usage queue is full (10 events), dropping further ones"
    ]


def test_offering_never_waits_for_the_exporter() -> None:
    blocking = Blocking()
    pipeline = Pipeline(RecordingExporter(blocking), batch_size=1)
    pipeline.offer(1)
    assert blocking.started.wait(SECONDS)
    started = time.monotonic()

    pipeline.offer(500)

    assert time.monotonic() - started < SECONDS / 2
    blocking.go_on.set()


def test_a_retry_sends_the_very_same_batch() -> None:
    def fail(attempt: int) -> None:
        if attempt <= 5:
            raise DeliveryError("down")

    pipeline = Pipeline(RecordingExporter(fail))
    pipeline.offer(3)
    assert pipeline.worker.flush(SECONDS)

    assert len(pipeline.exporter.attempts) == 6
    assert len({id(batch) for batch in pipeline.exporter.attempts}) == 1
    assert pipeline.accounting.snapshot().stored == 3


def test_no_two_batches_have_the_same_token() -> None:
    first, second = Pipeline(batch_size=1), Pipeline(batch_size=1)
    for pipeline in (first, second):
        pipeline.offer(20)
        assert pipeline.worker.flush(SECONDS)

    tokens = [batch.token for pipeline in (first, second) for batch in pipeline.exporter.delivered]

    assert len(tokens) == len(set(tokens)) == 40


def test_a_refused_batch_is_set_aside_with_its_reason_and_the_next_one_goes_on() -> None:
    def fail(attempt: int) -> None:
        if attempt == 1:
            raise RejectedBatch("ClickHouse error 27")

    pipeline = Pipeline(RecordingExporter(fail), batch_size=4)
    pipeline.offer(8)
    assert pipeline.worker.flush(SECONDS)

    ((batch, reason),) = pipeline.exporter.set_aside_batches
    assert len(batch.events) == 4
    assert reason == "ClickHouse error 27"
    assert pipeline.accounting.snapshot() == AccountingSnapshot(8, 4, 0, {}, {"refused": 4}, {})


class NoPlaceExporter(RecordingExporter):
    def set_aside(self, batch: Batch, reason: str) -> None:
        raise DeliveryError("no place")


def test_a_refused_batch_that_nobody_keeps_is_counted_as_lost() -> None:
    def fail(attempt: int) -> None:
        raise RejectedBatch("never")

    pipeline = Pipeline(NoPlaceExporter(fail))
    pipeline.offer(2)
    assert pipeline.worker.flush(SECONDS)

    assert pipeline.accounting.snapshot() == AccountingSnapshot(2, 0, 0, {}, {}, {"rejected_and_lost": 2})


def test_a_bug_in_an_exporter_costs_one_batch_and_not_the_thread() -> None:
    def fail(attempt: int) -> None:
        if attempt == 1:
            raise KeyError("a bug")

    pipeline = Pipeline(RecordingExporter(fail), batch_size=2)
    pipeline.offer(4)
    assert pipeline.worker.flush(SECONDS)

    assert pipeline.accounting.snapshot() == AccountingSnapshot(4, 2, 0, {}, {}, {"internal_error": 2})


def test_a_span_that_cannot_be_read_does_not_take_its_batch_with_it() -> None:
    pipeline = Pipeline()
    pipeline.offer(2)
    broken = build_span()
    broken._resource = None  # type: ignore[assignment]
    pipeline.worker.offer(broken)
    pipeline.offer(2)

    assert pipeline.worker.flush(SECONDS)

    assert len(pipeline.exporter.events) == 4
    assert pipeline.accounting.snapshot() == AccountingSnapshot(5, 4, 0, {}, {"malformed": 1}, {})


class ParticularExporter(RecordingExporter):
    """Cannot write events of the name `odd` down."""

    def freeze(self, events: object, token: str) -> Batch:
        if any(event.name == "odd" for event in events):  # type: ignore[attr-defined]
            raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")
        return super().freeze(events, token)  # type: ignore[arg-type]


@pytest.mark.parametrize(("odd", "plain"), [(1, 4), (3, 2), (5, 0)])
def test_an_event_that_cannot_be_written_down_does_not_take_its_batch_with_it(odd: int, plain: int) -> None:
    pipeline = Pipeline(ParticularExporter())
    for _ in range(odd):
        pipeline.worker.offer(build_span("odd"))
    pipeline.offer(plain)

    assert pipeline.worker.flush(SECONDS)

    assert len(pipeline.exporter.events) == plain
    assert pipeline.accounting.snapshot() == AccountingSnapshot(5, plain, 0, {}, {"malformed": odd}, {})


def test_stages_that_follow_from_an_event_are_events_of_their_own() -> None:
    funnel = Funnel("buy", (Stage("home", 1, paths=("/",)), Stage("cart", 2, paths=("/cart",))))
    pipeline = Pipeline(funnels=(funnel,))
    pipeline.offer(3)

    assert pipeline.worker.flush(SECONDS)

    assert len(pipeline.exporter.named(names.STAGE_REACHED)) == 3
    assert pipeline.accounting.snapshot() == AccountingSnapshot(6, 6, 0, {}, {}, {})


def test_a_flush_that_takes_too_long_says_so() -> None:
    blocking = Blocking()
    pipeline = Pipeline(RecordingExporter(blocking))
    pipeline.offer(1)
    started = time.monotonic()

    assert not pipeline.worker.flush(0.05)

    assert time.monotonic() - started < SECONDS / 2
    blocking.go_on.set()
    assert pipeline.worker.flush(SECONDS)


def test_a_flush_of_nothing_is_done_at_once() -> None:
    assert Pipeline().worker.flush(0)


def test_several_threads_may_flush_at_once() -> None:
    pipeline = Pipeline(batch_size=7)
    pipeline.offer(700)
    done: list[bool] = []

    threads = [threading.Thread(target=lambda: done.append(pipeline.worker.flush(SECONDS))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert done == [True] * 5
    assert len(pipeline.exporter.events) == 700


def test_shutting_down_sends_what_waits_and_refuses_what_comes_later() -> None:
    pipeline = Pipeline(batch_size=3)
    pipeline.offer(8)

    pipeline.worker.shut_down(SECONDS)
    pipeline.offer(2)

    assert len(pipeline.exporter.events) == 8
    assert pipeline.exporter.is_closed
    assert pipeline.accounting.snapshot() == AccountingSnapshot(10, 8, 0, {}, {}, {"shut_down": 2})


def test_shutting_down_with_a_dead_receiver_tries_once_more_and_counts_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(attempt: int) -> None:
        raise DeliveryError("down")

    pipeline = Pipeline(RecordingExporter(fail), batch_size=10)
    pipeline.offer(35)
    started = time.monotonic()

    pipeline.worker.shut_down(SECONDS)

    assert time.monotonic() - started < SECONDS / 2
    assert pipeline.accounting.snapshot() == AccountingSnapshot(35, 0, 0, {}, {}, {"shut_down": 35})
    assert caplog.messages[-1] == "Shutting down with 35 usage events that could not be sent and are lost"


def test_shutting_down_does_not_wait_for_a_receiver_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    blocking = Blocking()
    pipeline = Pipeline(RecordingExporter(blocking), batch_size=10)
    pipeline.offer(25)
    assert blocking.started.wait(SECONDS)
    started = time.monotonic()

    pipeline.worker.shut_down(0.05)

    assert time.monotonic() - started < SECONDS / 2
    snapshot = pipeline.accounting.snapshot()
    assert snapshot.waiting + snapshot.dropped.get("shut_down", 0) == 25
    assert snapshot.waiting >= 10
    assert caplog.messages[-1] == "Shutting down with 25 usage events that could not be sent and are lost"
    blocking.go_on.set()


def test_a_flush_does_not_depend_on_the_thread_that_offered_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline()
    start = pipeline.worker._start
    about_to_start, may_start = threading.Event(), threading.Event()

    def start_late() -> None:
        if threading.current_thread() is offering:
            about_to_start.set()
            may_start.wait(SECONDS)
        start()

    monkeypatch.setattr(pipeline.worker, "_start", start_late)
    offering = threading.Thread(target=pipeline.offer, args=(1,))
    offering.start()
    assert about_to_start.wait(SECONDS)

    assert pipeline.worker.flush(SECONDS)

    assert len(pipeline.exporter.events) == 1
    may_start.set()
    offering.join(SECONDS)


class ContendedQueue(deque[Any]):
    """Lets somebody else at the queue while the first item is taken from it."""

    def __init__(self, other: threading.Thread) -> None:
        super().__init__()
        self._other = other

    def popleft(self) -> Any:
        if self._other.ident is None:
            self._other.start()
            self._other.join(0.2)
        return super().popleft()


def test_shutting_down_takes_nothing_out_of_the_batch_that_is_being_made() -> None:
    pipeline = Pipeline()
    end = threading.Thread(target=pipeline.worker.shut_down, args=(0,))
    pipeline.worker._queue = ContendedQueue(end)
    pipeline.offer(5)

    assert pipeline.worker.flush(SECONDS)
    end.join(SECONDS)

    assert len(pipeline.exporter.events) == 5
    assert pipeline.accounting.snapshot() == AccountingSnapshot(5, 5, 0, {}, {}, {})


def test_shutting_down_twice_or_unused_is_nothing() -> None:
    pipeline = Pipeline()

    pipeline.worker.shut_down(1)
    pipeline.worker.shut_down(1)

    assert pipeline.accounting.snapshot() == AccountingSnapshot(0, 0, 0, {}, {}, {})


def test_an_exporter_that_cannot_be_closed_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("192.0.2.1 of a client")

    pipeline = Pipeline()
    monkeypatch.setattr(pipeline.exporter, "close", fail)
    pipeline.offer(1)

    pipeline.worker.shut_down(SECONDS)

    assert len(pipeline.exporter.events) == 1
    (message,) = caplog.messages
    assert message.startswith("Could not close the exporter: RuntimeError at ")


def test_our_own_calls_are_not_instrumented() -> None:
    seen: list[bool] = []
    pipeline = Pipeline(RecordingExporter(lambda attempt: seen.append(is_instrumentation_enabled())))
    pipeline.offer(1)

    assert pipeline.worker.flush(SECONDS)

    assert seen == [False]
    assert is_instrumentation_enabled()


def test_everything_is_counted_at_any_time_under_random_failures() -> None:
    chance = random.Random(7)

    def fail(attempt: int) -> None:
        dice = chance.random()
        if dice < 0.3:
            raise DeliveryError("down")
        if dice < 0.4:
            raise RejectedBatch("never")
        if dice < 0.5:
            raise RuntimeError("a bug")

    funnel = Funnel("buy", (Stage("home", 1, paths=("/",)), Stage("cart", 2, paths=("/cart",))))
    pipeline = Pipeline(
        ParticularExporter(fail),
        queue_size=500,
        batch_size=50,
        flush_interval_seconds=0.001,
        funnels=(funnel,),
    )
    over = threading.Event()
    samples: list[AccountingSnapshot] = []

    def sample() -> None:
        while not over.is_set():
            samples.append(pipeline.accounting.snapshot())

    def load(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(2000):
            kind = dice.random()
            if kind < 0.02:
                broken = build_span()
                broken._resource = None  # type: ignore[assignment]
                pipeline.worker.offer(broken)
            elif kind < 0.04:
                pipeline.worker.offer(build_span("odd"))
            elif kind < 0.06:
                pipeline.accounting.add_filtered("excluded_url")
            else:
                pipeline.offer(1)

    threads = [threading.Thread(target=load, args=(seed,)) for seed in range(4)]
    sampler = threading.Thread(target=sample)
    for thread in (sampler, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert pipeline.worker.flush(30)
    over.set()
    sampler.join()

    assert len(samples) > 100
    assert [
        snapshot for snapshot in samples if settled(snapshot) != snapshot.seen or snapshot.waiting < 0
    ] == []
    last = pipeline.accounting.snapshot()
    assert last.waiting == 0
    assert last.seen == settled(last)
    assert last.stored == len(pipeline.exporter.events)
    assert {"malformed", "refused"} <= last.rejected.keys()
    assert "internal_error" in last.dropped
    assert last.filtered["excluded_url"] > 0


def test_a_worker_that_nobody_needs_any_more_is_freed() -> None:
    pipeline = Pipeline()
    alive = weakref.ref(pipeline.worker)

    del pipeline
    gc.collect()

    assert alive() is None


FORKING = """
import os, sys
from otel_usage.pipeline.accounting import Accounting
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.worker import BatchWorker
from tests.pipeline.spans import build_span
from tests.recording import RecordingExporter

accounting = Accounting()
exporter = RecordingExporter()
worker = BatchWorker(exporter, EventMaker(), accounting, queue_size=100, batch_size=50, flush_interval_seconds=60)

def say(who):
    assert worker.flush(30)
    tokens = {batch.token.partition("-")[0] for batch in exporter.delivered}
    ids = " ".join(event.span_id.hex() for event in exporter.events)
    snapshot = accounting.snapshot()
    print(who, snapshot.seen, snapshot.stored, snapshot.waiting, *sorted(tokens), "|", ids, flush=True)

for _ in range(3):
    worker.offer(build_span())
if len(sys.argv) > 1:  # the thread runs already, and holds nothing that the child would need
    assert worker.flush(30)
    for _ in range(2):
        worker.offer(build_span())
child = os.fork()
if child == 0:
    exporter.delivered.clear()
    for _ in range(2):
        worker.offer(build_span())
    say("child")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
say("parent")
"""


@pytest.mark.parametrize(("arguments", "parents"), [([], 3), (["flushed"], 5)])
def test_after_a_fork_each_process_sends_its_own_events_once(arguments: list[str], parents: int) -> None:
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
    ).stdout

    child, parent = (line.split(" | ") for line in output.splitlines())
    assert child[0].split()[:4] == ["child", "2", "2", "0"]
    assert parent[0].split()[:4] == ["parent", str(parents), str(parents), "0"]
    assert child[0].split()[4] != parent[0].split()[4], "both used one token prefix"
    assert len(child[1].split()) == 2
    assert len(set(parent[1].split())) == parents


def test_a_fork_while_the_worker_loads_its_modules_never_hangs_the_child() -> None:
    code = """
import os, threading
from otel_usage.pipeline.accounting import Accounting
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.worker import BatchWorker
from tests.pipeline.spans import build_span
from tests.recording import RecordingExporter

exporter = RecordingExporter()
worker = BatchWorker(exporter, EventMaker(), Accounting(), queue_size=10**6, batch_size=5, flush_interval_seconds=0.001)
over = threading.Event()

def load():
    while not over.is_set():
        worker.offer(build_span())

threads = [threading.Thread(target=load, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(3):
    child = os.fork()
    if child == 0:
        exporter.delivered.clear()
        exporter._lock = threading.Lock()
        worker.offer(build_span())
        os._exit(0 if worker.flush(20) else 1)
    assert os.waitpid(child, 0)[1] == 0
over.set()
"""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        timeout=120,
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
    )


def test_an_outage_and_its_end_are_logged_once_without_what_clients_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(attempt: int) -> None:
        if attempt <= 20:
            raise DeliveryError("no answer from ClickHouse")

    pipeline = Pipeline(RecordingExporter(fail))
    pipeline.offer(3)
    assert pipeline.worker.flush(SECONDS)

    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.WARNING,
            "Could not send 3 usage events, trying again in 0.0 s; 3 events wait: no answer from ClickHouse",
        ),
        (logging.WARNING, "Usage events are sent again"),
    ]
