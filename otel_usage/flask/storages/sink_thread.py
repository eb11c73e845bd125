"""The queue and the thread of one storage: what it does to itself stays with it.

The thread starts with the first request, and again after a fork; what waited in the parent is the parent's to store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_usage.flask.storages.copying import own_copy
from otel_usage.forks import call_in_children
from otel_usage.log_throttle import LogThrottle, describe_error

logger = logging.getLogger(__name__)

StorageCallable: TypeAlias = Callable[[dict[str, Any]], object]
"""What takes the data of one request."""


@dataclass(frozen=True, slots=True)
class StorageAccounting:
    """Where the requests that one storage was offered went: `offered = stored + failed + dropped + waiting`."""

    storage: str
    """Name of its class or function."""
    offered: int
    stored: int
    failed: int
    """It raised."""
    dropped: int
    """Its queue was full, or the process ended."""
    waiting: int


class SinkThread:
    """Hands data to one storage, one after the other, from a thread of its own."""

    def __init__(self, storage: StorageCallable, queue_size: int) -> None:
        self._storage = storage
        self._queue_size = queue_size
        self.name = _name_of(storage)
        # Read once: it may be code of the app.
        self.more_keys: tuple[str, ...] = tuple(getattr(storage, "more_keys", ()))
        """What the storage wants beyond the old keys."""
        self._full_queue_log = LogThrottle()
        self._failure_log = LogThrottle()
        self._reset()
        call_in_children(self._reset)

    def _reset(self) -> None:
        # Guards everything below, and tells of every change to it.
        self._changed = threading.Condition()
        self._queue: deque[dict[str, Any]] = deque()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._is_given_up = False
        self._offered = self._stored = self._failed = self._dropped = 0

    def start(self) -> None:
        """Start the thread if it does not run."""
        if self._thread is None:
            with self._changed:
                self._start()

    def offer(self, data: dict[str, Any]) -> None:
        """Take the data of a request, which nobody changes any more. Never blocks; a full queue drops it.

        Args:
            data: may be shared with other storages; this one's copy is made in its own thread.
        """
        with self._changed:
            self._offered += 1
            if self._is_closed or len(self._queue) >= self._queue_size:
                self._dropped += 1
                is_full = not self._is_closed
            else:
                is_full = False
                self._queue.append(data)
                self._start()
                self._changed.notify_all()
        if is_full:
            self._full_queue_log.log(
                logger,
                logging.WARNING,
                "The queue of the usage storage %s is full (%d requests), dropping further ones for it",
                self.name,
                self._queue_size,
            )

    def flush(self, deadline: float) -> bool:
        """Wait until all that was offered before is settled, and return whether that was before the deadline.

        Args:
            deadline: on the clock of `time.monotonic`.
        """
        if threading.current_thread() is self._thread:
            return False  # the storage itself asks, and would wait for itself
        with self._changed:
            goal = self._offered
            return self._changed.wait_for(lambda: self._settled() >= goal, _seconds_until(deadline))

    def begin_to_close(self) -> None:
        """Refuse further data; the thread ends when its queue is empty."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def finish_closing(self, deadline: float) -> None:
        """Wait for the thread until the deadline, then drop what is left."""
        thread = self._thread
        if self._is_given_up:
            return
        if thread is not None and thread is not threading.current_thread():
            thread.join(_seconds_until(deadline))
        with self._changed:
            self._is_given_up = True
            # What is in the storage's hands may still get stored, but nobody will know.
            left = self._offered - self._settled()
            self._dropped += len(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        if left:
            logger.warning("The usage storage %s was given up with %d requests left", self.name, left)

    def accounting(self) -> StorageAccounting:
        """Return the numbers of one moment."""
        with self._changed:
            waiting = self._offered - self._settled()
            return StorageAccounting(
                self.name, self._offered, self._stored, self._failed, self._dropped, waiting
            )

    def _settled(self) -> int:
        return self._stored + self._failed + self._dropped

    def _start(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name=f"otel-usage-storage-{self.name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the interpreter is going down; finish_closing() counts what is left
            self._failure_log.log(logger, logging.WARNING, "No storage thread: %s", describe_error(error))
            return
        self._thread = thread

    def _run(self) -> None:
        changed = self._changed
        # A storage that queries or calls by HTTP makes no spans of its own.
        with suppress_instrumentation():
            while True:
                with changed:
                    changed.wait_for(lambda: self._queue or self._is_closed)
                    if not self._queue:
                        return
                    data = self._queue.popleft()
                is_stored = self._store(data)
                with changed:
                    self._stored += is_stored
                    self._failed += not is_stored
                    changed.notify_all()

    def _store(self, data: dict[str, Any]) -> bool:
        try:
            self._storage(own_copy(data))
        except BaseException as error:  # SystemExit too: it would end this thread, and nothing else
            self._failure_log.log(
                logger, logging.ERROR, "The usage storage %s failed: %s", self.name, describe_error(error)
            )
            return False
        return True


def close_sinks(sinks: Sequence[SinkThread], timeout_seconds: float) -> None:
    """Let all of them refuse further data and store what waits within the time; drop and count the rest."""
    deadline = time.monotonic() + timeout_seconds
    for sink in sinks:
        sink.begin_to_close()
    for sink in sinks:
        sink.finish_closing(deadline)


def _seconds_until(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


def _name_of(storage: StorageCallable) -> str:
    # Of code, never of a value: it goes into the log.
    return str(getattr(storage, "__qualname__", None) or type(storage).__qualname__)
