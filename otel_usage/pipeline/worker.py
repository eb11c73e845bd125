"""The batch worker: one background thread per process between finished spans and an exporter.

Request threads only append to a deque. The thread starts with the first event and again after a fork; what
waited in the parent at the fork is the parent's to send.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan

from otel_usage.errors import DeliveryError, RejectedBatch
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.model import Event
from otel_usage.pipeline.accounting import Accounting
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.exporters import Batch, EventExporter

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 30.0


_loading = threading.Lock()
_LONGEST_WAIT_OF_A_FORK_SECONDS = 10.0


@contextmanager
def _forks_wait() -> Iterator[None]:
    """Hold forks of the process back: a module that is being imported stays locked for ever in the child."""
    with _loading:
        yield


def _before_fork() -> None:
    global _held_for_fork
    _held_for_fork = _loading.acquire(timeout=_LONGEST_WAIT_OF_A_FORK_SECONDS)


def _after_fork() -> None:
    if _held_for_fork:
        _loading.release()


_held_for_fork = False
os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


class BatchWorker:
    """Collects spans, makes events of them and delivers these in frozen batches."""

    def __init__(
        self,
        exporter: EventExporter,
        make_events: EventMaker,
        accounting: Accounting,
        *,
        queue_size: int,
        batch_size: int,
        flush_interval_seconds: float,
    ) -> None:
        self._exporter = exporter
        self._make_events = make_events
        self._accounting = accounting
        self._queue_size = queue_size
        self._batch_size = min(batch_size, queue_size)
        self._flush_interval_seconds = flush_interval_seconds
        self._full_queue_log = LogThrottle()
        self._failure_log = LogThrottle()
        self._reset()
        # Weak, because a hook that is registered once stays for the life of the process.
        reset = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (method := reset()) and method())

    def _reset(self) -> None:
        self._queue: deque[ReadableSpan] = deque()
        self._start_lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._thread: threading.Thread | None = None
        self._in_flight = 0
        self._flush_waiters = 0
        self._batch_prefix = uuid.uuid4().hex
        self._batch_number = 0

    def offer(self, span: ReadableSpan) -> None:
        """Take a finished span. Never blocks; a full queue drops the span and counts it."""
        if self._stopping.is_set():
            self._accounting.add_refused("shut_down")
            return
        if len(self._queue) >= self._queue_size:
            self._accounting.add_refused("queue_full")
            self._full_queue_log.log(
                logger,
                logging.WARNING,
                "Usage queue is full (%d events), dropping further ones",
                self._queue_size,
            )
            return
        self._accounting.add_waiting()
        self._queue.append(span)
        if self._thread is None:
            self._start()
        if len(self._queue) >= self._batch_size and not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout_seconds: float) -> bool:
        """Send what waits now, and return whether all of it was settled within the time."""
        deadline = time.monotonic() + timeout_seconds
        with self._progress:
            self._flush_waiters += 1
            try:
                while self._queue or self._in_flight:
                    if self._thread is None or not self._thread.is_alive():
                        return False
                    self._wake.set()
                    if (
                        not self._progress.wait(min(deadline - time.monotonic(), 0.1))
                        and time.monotonic() > deadline
                    ):
                        return False
            finally:
                self._flush_waiters -= 1
        return True

    def shut_down(self, timeout_seconds: float) -> None:
        """Refuse further spans, send what waits, and give up what could not be sent within the time."""
        self._stopping.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)
        # What is under way may still arrive, but nobody will know.
        left = self._give_up_queue() + self._in_flight
        if left:
            logger.warning("Shutting down with %d usage events that could not be sent", left)

    def _give_up_queue(self) -> int:
        left = 0
        while self._queue:
            self._queue.popleft()
            left += 1
        if left:
            self._accounting.settle_dropped("shut_down", left)
        return left

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="otel-usage-worker", daemon=True)
                try:
                    thread.start()
                except (
                    RuntimeError
                ) as error:  # the interpreter is going down; shut_down() counts what is left
                    self._failure_log.log(
                        logger, logging.WARNING, "No usage worker: %s", describe_error(error)
                    )
                    return
                self._thread = thread

    def _run(self) -> None:
        # Our own HTTP calls must not become spans of the app.
        with suppress_instrumentation():
            self._prepare()
            while not self._stopping.is_set():
                self._wake.wait(self._flush_interval_seconds)
                self._wake.clear()
                self._send_waiting()
            self._send_waiting()
            self._exporter.close()

    def _prepare(self) -> None:
        """Import what the first batch needs, and let a fork wait for it."""
        with _forks_wait():
            try:
                self._make_events.prepare()
                self._exporter.prepare()
            except Exception as error:  # tried again, and counted, with the first batch
                self._failure_log.log(
                    logger, logging.ERROR, "Could not load what usage events need: %s", describe_error(error)
                )

    def _send_waiting(self) -> None:
        """Send whole batches while there are any, then one with the rest."""
        while self._queue:
            spans = self._take()
            try:
                self._deliver(spans)
            except Exception as error:
                # A bug of ours costs one batch, never the thread.
                self._accounting.settle_dropped("internal_error", self._in_flight)
                self._failure_log.log(
                    logger, logging.ERROR, "Lost %d usage events: %s", self._in_flight, describe_error(error)
                )
            with self._progress:
                self._in_flight = 0
                self._progress.notify_all()
            if len(self._queue) < self._batch_size and not (self._flush_waiters or self._stopping.is_set()):
                return

    def _take(self) -> list[ReadableSpan]:
        # First the number, then the spans: flush() must never see neither.
        self._in_flight = min(self._batch_size, len(self._queue))
        return [self._queue.popleft() for _ in range(self._in_flight)]

    def _deliver(self, spans: Iterable[ReadableSpan]) -> None:
        events: list[Event] = []
        for span in spans:
            try:
                made = self._make_events(span)
            except Exception as error:
                self._accounting.settle_rejected("malformed", 1)
                self._in_flight -= 1
                self._failure_log.log(
                    logger, logging.ERROR, "A usage event could not be made: %s", describe_error(error)
                )
                continue
            if len(made) > 1:
                self._accounting.add_waiting(len(made) - 1)
                self._in_flight += len(made) - 1
            events.extend(made)
        if not events:
            return
        self._batch_number += 1
        batch = self._freeze(events, f"{self._batch_prefix}-{self._batch_number}")
        if batch is not None:
            self._send_until_settled(batch)

    def _freeze(self, events: list[Event], token: str) -> Batch | None:
        """Return the batch, without the events that the exporter cannot write down; None when that is all of them."""
        try:
            return self._exporter.freeze(events, token)
        except Exception as error:
            self._failure_log.log(
                logger, logging.ERROR, "A usage event could not be written down: %s", describe_error(error)
            )
        good = [event for event in events if self._can_freeze(event, token)]
        self._accounting.settle_rejected("malformed", len(events) - len(good))
        self._in_flight = len(good)
        return self._exporter.freeze(good, token) if good else None

    def _can_freeze(self, event: Event, token: str) -> bool:
        try:
            self._exporter.freeze([event], token)
        except Exception:
            return False
        return True

    def _send_until_settled(self, batch: Batch) -> None:
        delay_seconds = _FIRST_RETRY_SECONDS
        count = len(batch.events)
        while True:
            try:
                self._exporter.send(batch)
            except RejectedBatch as error:
                self._reject(batch, str(error))
                return
            except DeliveryError as error:
                if self._stopping.is_set():
                    self._drop_all(count)
                    return
                self._failure_log.log(
                    logger,
                    logging.WARNING,
                    "Could not send %d usage events, trying again in %.1f s; %d more wait: %s",
                    count,
                    delay_seconds,
                    len(self._queue),
                    error,
                )
            else:
                self._accounting.settle_stored(count)
                return
            # Jitter, so that the workers of a cluster do not all come back in the same second.
            self._stopping.wait(delay_seconds * random.uniform(0.8, 1.2))  # noqa: S311
            delay_seconds = min(delay_seconds * 2, _LAST_RETRY_SECONDS)

    def _reject(self, batch: Batch, reason: str) -> None:
        count = len(batch.events)
        self._failure_log.log(logger, logging.ERROR, "%d usage events were refused: %s", count, reason)
        try:
            self._exporter.set_aside(batch, reason)
        except DeliveryError as error:
            self._failure_log.log(logger, logging.ERROR, "Refused usage events are lost: %s", error)
            self._accounting.settle_dropped("rejected_and_lost", count)
            return
        self._accounting.settle_rejected("refused", count)

    def _drop_all(self, in_flight: int) -> None:
        """Stopping, and the receiver does not answer: one failed attempt is enough for everything that waits."""
        self._accounting.settle_dropped("shut_down", in_flight)
        left = self._give_up_queue()
        logger.warning("Shutting down with %d usage events that could not be sent", in_flight + left)
