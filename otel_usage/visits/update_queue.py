"""Expiry times on their way into a visit store: the last one of each visit, written many at a time."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_usage.log_throttle import LogThrottle, describe_error

logger = logging.getLogger(__name__)

_MAX_WAITING = 100_000
"""Visits whose expiry may wait; while the store is down, further ones are not noted."""
_WRITE_AT = 10_000


class UpdateQueue:
    """Holds the newest expiry of each visit until it is written, by a thread that no failing store ends.

    Args:
        write: stores expiry times by visit key, all or none; may raise anything, then it is asked again.
        interval_seconds: longest time that an expiry waits; many of them are written earlier.
    """

    def __init__(self, write: Callable[[Mapping[str, datetime]], None], interval_seconds: float) -> None:
        self._write = write
        self._interval_seconds = interval_seconds
        self._failure_log = LogThrottle()
        self._reset()
        # Weak, because a hook that is registered once stays for the life of the process.
        reset = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (method := reset()) and method())

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
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="otel-usage-visits", daemon=True)
                self._thread.start()
            if len(self._expiry_by_key) >= _WRITE_AT:
                self._wake.set()

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
                self._failure_log.log(
                    logger,
                    logging.ERROR,
                    "The visit store did not take %d expiry times, they are tried again: %s",
                    len(self._being_written),
                    describe_error(error),
                )
                return False
            finally:
                with self._lock:
                    self._being_written = {}
            return True

    def close(self, timeout_seconds: float | None = None) -> None:
        """Write what waits and end the thread; closing twice, or without a thread, is nothing."""
        self._closing.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # No lock is held here: the thread may need it for its last write.
            thread.join(timeout_seconds)
        elif thread is None:
            self.flush()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._interval_seconds)
            self._wake.clear()
            if not self.flush():
                self._closing.wait(min(self._interval_seconds, 1.0))
        self.flush()
