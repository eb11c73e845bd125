"""Expiry times on their way into a visit store: the last one of each visit, written many at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_usage.forks import call_in_children
from otel_usage.log_throttle import LogThrottle, describe_error

logger = logging.getLogger(__name__)

_MAX_WAITING = 100_000
"""Visits whose expiry may wait; while the store is down, further ones are not noted."""
_WRITE_AT = 10_000
_RETRY_SECONDS = 1.0


class UpdateQueue:
    """Holds the newest expiry of each visit until it is written, by a thread that no failing store ends.

    Args:
        write: stores expiry times by visit key, all or none; may raise anything, then it is asked again.
        interval_seconds: longest time that an expiry waits; many of them are written earlier.
        tidy: called by the thread after each interval in which the store took what waited; may raise anything.
    """

    def __init__(
        self,
        write: Callable[[Mapping[str, datetime]], None],
        interval_seconds: float,
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        self._write = write
        self._interval_seconds = interval_seconds
        self._tidy = tidy
        self._failure_log = LogThrottle()
        self._reset()
        call_in_children(self._reset)

    def _reset(self) -> None:
        self._expiry_by_key: dict[str, datetime] = {}
        self._being_written: Mapping[str, datetime] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, key: str, expiry: datetime) -> None:
        """Note the newest expiry of a visit. Never waits for the store."""
        with self._lock:
            if len(self._expiry_by_key) >= _MAX_WAITING and key not in self._expiry_by_key:
                return
            self._expiry_by_key[key] = expiry
            if len(self._expiry_by_key) >= _WRITE_AT:
                self._wake.set()
        self.ensure_thread()

    def ensure_thread(self) -> None:
        """Start the thread unless it runs, or the queue is closed."""
        if self._thread is None and not self._closing.is_set():
            with self._lock:
                if self._thread is None:
                    self._start_thread()

    def expiry_of(self, key: str) -> datetime | None:
        """Return the expiry of a visit that is not known to be stored yet."""
        with self._lock:
            return self._expiry_by_key.get(key) or self._being_written.get(key)

    def flush(self) -> bool:
        """Write what waits now, and return whether the store took it."""
        with self._writing:
            with self._lock:
                self._being_written, self._expiry_by_key = self._expiry_by_key, {}
            if not self._being_written:
                return True
            try:
                with suppress_instrumentation():
                    self._write(self._being_written)
            except Exception as error:
                with self._lock:
                    # What came meanwhile is newer.
                    self._expiry_by_key = {**self._being_written, **self._expiry_by_key}
                self._log_failure(
                    f"did not take {len(self._being_written)} expiry times, they are tried again", error
                )
                return False
            finally:
                with self._lock:
                    self._being_written = {}
            return True

    def close(self, timeout_seconds: float | None = 5.0) -> None:
        """Write what waits and end the thread; closing again writes what came since.

        Args:
            timeout_seconds: longest wait for a store that hangs; what it has not taken by then is lost. None
                waits as long as it takes.
        """
        self._closing.set()
        self._wake.set()
        with self._lock:
            if self._expiry_by_key and (self._thread is None or not self._thread.is_alive()):
                # In a thread as well: the wait for it can be bounded.
                self._start_thread()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # No lock is held here: the thread may need it for its last write.
            thread.join(timeout_seconds)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="otel-usage-visits", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread left, or the interpreter is about to end
            return
        self._thread = thread

    def _run(self) -> None:
        is_taken = True
        while not self._closing.is_set():
            if is_taken:
                self._wake.wait(self._interval_seconds)
                self._wake.clear()
            else:
                self._closing.wait(min(self._interval_seconds, _RETRY_SECONDS))
            if self._closing.is_set():
                break
            is_taken = self.flush()
            if is_taken:
                self._tidy_up()
        self.flush()

    def _tidy_up(self) -> None:
        try:
            with suppress_instrumentation():
                self._tidy()
        except Exception as error:
            self._log_failure("could not be tidied up, which is tried again", error)

    def _log_failure(self, what: str, error: Exception) -> None:
        self._failure_log.log(logger, logging.ERROR, "The visit store %s: %s", what, describe_error(error))
