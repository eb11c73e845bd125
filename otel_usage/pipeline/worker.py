"""The batch worker: the background threads of a process between finished spans and an exporter.

Request threads only append to a deque. One thread makes frozen batches of what waits, a second one sends them.
They start with the first event and again after a fork; what waited in the parent at the fork is the parent's
to send.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan

from otel_usage.forks import call_in_children
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.model import Event
from otel_usage.pipeline.accounting import Accounting
from otel_usage.pipeline.companion import NO_COMPANION, Companion
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.exporters import Batch, EventExporter
from otel_usage.pipeline.sender import Sender

logger = logging.getLogger(__name__)

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
        call_in_children(self._reset)

    def _reset(self) -> None:
        self._queue: deque[tuple[ReadableSpan, Companion]] = deque()
        self._start_lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._thread: threading.Thread | None = None
        self._in_flight = 0
        self._being_made = 0
        self._flush_waiters = 0
        self._batch_prefix = uuid.uuid4().hex
        self._batch_number = 0

    def offer(self, span: ReadableSpan, companion: Companion = NO_COMPANION) -> None:
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
        self._queue.append((span, companion))
        if self._thread is None:
            self._start()
        if len(self._queue) >= self._batch_size and not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout_seconds: float) -> bool:
        """Send what waits now, and return whether all of it was settled within the time."""
        deadline = time.monotonic() + timeout_seconds
        if self._queue and self._thread is None:
            self._start()  # the thread that offered it is about to, and may be held up
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
        dropped_before = self._dropped_by_shut_down()
        self._stopping.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)
        self._give_up_queue()
        # What is under way may still arrive, but nobody will know.
        left = self._dropped_by_shut_down() - dropped_before + self._in_flight
        if left:
            logger.warning("Shutting down with %d usage events that could not be sent and are lost", left)

    def _dropped_by_shut_down(self) -> int:
        return self._accounting.snapshot().dropped.get("shut_down", 0)

    def _give_up_queue(self) -> None:
        left = 0
        with self._progress:  # or what is being taken for a batch would be counted twice
            while self._queue:
                self._queue.popleft()
                left += 1
        if left:
            self._accounting.settle_dropped("shut_down", left)

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is not None:
                return
            sender = Sender(self._exporter, self._accounting, self._stopping, self._settle, self._failure_log)
            thread = threading.Thread(target=self._run, args=(sender,), name="otel-usage-worker", daemon=True)
            try:
                sender.start()
                thread.start()
            except RuntimeError as error:  # the interpreter is going down; shut_down() counts what is left
                self._failure_log.log(logger, logging.WARNING, "No usage worker: %s", describe_error(error))
                return
            self._thread = thread

    def _run(self, sender: Sender) -> None:
        with suppress_instrumentation():
            self._prepare()
            while not self._stopping.is_set():
                self._wake.wait(self._flush_interval_seconds)
                self._wake.clear()
                self._hand_over_waiting(sender)
            self._hand_over_waiting(sender)
            sender.finish()
            self._close_exporter()

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

    def _close_exporter(self) -> None:
        try:
            self._exporter.close()
        except Exception as error:  # of an exporter that is not ours; all events are settled by now
            self._failure_log.log(
                logger, logging.ERROR, "Could not close the exporter: %s", describe_error(error)
            )

    def _hand_over_waiting(self, sender: Sender) -> None:
        """Make whole batches while there are any, then one with the rest, and hand each over."""
        while self._queue:
            if sender.has_given_up:
                self._give_up_queue()
                return
            batch = self._make_batch_or_lose_it(self._take())
            if batch is not None:
                sender.put(batch)
            if len(self._queue) < self._batch_size and not (self._flush_waiters or self._stopping.is_set()):
                return

    def _take(self) -> list[tuple[ReadableSpan, Companion]]:
        # At once: flush() must never see them nowhere, and whoever shuts down must not take some of them away.
        with self._progress:
            count = min(self._batch_size, len(self._queue))
            self._being_made = count
            self._settle(-count)
            return [self._queue.popleft() for _ in range(count)]

    def _settle(self, count: int) -> None:
        """Note that the accounting has these events; a negative number notes that more are under way."""
        with self._progress:
            self._in_flight -= count
            self._progress.notify_all()

    def _make_batch_or_lose_it(self, spans: Sequence[tuple[ReadableSpan, Companion]]) -> Batch | None:
        try:
            return self._make_batch(spans)
        except Exception as error:
            # A bug of ours costs one batch, never the thread.
            self._accounting.settle_dropped("internal_error", self._being_made)
            self._settle(self._being_made)
            self._failure_log.log(
                logger, logging.ERROR, "Lost %d usage events: %s", self._being_made, describe_error(error)
            )
            return None

    def _make_batch(self, spans: Sequence[tuple[ReadableSpan, Companion]]) -> Batch | None:
        """Return the spans as a frozen batch, None when no event is left of them."""
        events: list[Event] = []
        self._make_events.look_ahead(spans)
        for span, companion in spans:
            try:
                made = self._make_events(span, companion)
            except Exception as error:
                self._reject_malformed(1, "A usage event could not be made", error)
                continue
            if len(made) > 1:
                self._accounting.add_waiting(len(made) - 1)
                self._being_made += len(made) - 1
                self._settle(1 - len(made))
            events.extend(made)
            if companion.on_event is not None:
                self._hand_over(made[0], companion.on_event)
        self._batch_number += 1
        return self._freeze(events, f"{self._batch_prefix}-{self._batch_number}") if events else None

    def _hand_over(self, event: Event, on_event: Callable[[Event], None]) -> None:
        try:
            on_event(event)
        except Exception as error:  # the event is stored all the same
            self._failure_log.log(
                logger, logging.ERROR, "A storage could not take a usage event: %s", describe_error(error)
            )

    def _freeze(self, events: list[Event], token: str) -> Batch | None:
        """Return the batch, without the events that the exporter cannot write down; None when that is all of them."""
        try:
            return self._exporter.freeze(events, token)
        except Exception as error:
            failure = error
        good = [event for event in events if self._can_freeze(event, token)]
        self._reject_malformed(len(events) - len(good), "A usage event could not be written down", failure)
        try:
            return self._exporter.freeze(good, token) if good else None
        except Exception as error:
            self._reject_malformed(len(good), "A batch of usage events could not be written down", error)
            return None

    def _can_freeze(self, event: Event, token: str) -> bool:
        try:
            self._exporter.freeze([event], token)
        except Exception:
            return False
        return True

    def _reject_malformed(self, count: int, message: str, error: Exception) -> None:
        self._accounting.settle_rejected("malformed", count)
        self._being_made -= count
        self._settle(count)
        self._failure_log.log(logger, logging.ERROR, "%s: %s", message, describe_error(error))
