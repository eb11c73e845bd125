"""What the workers of one service on one host share: the salts and the visits, kept in line by a thread.

A request thread touches memory only. The thread loads the salts of today and tomorrow long before they are
needed, forgets the one of yesterday when no visit can go on from it, and finds out when somebody deleted the
files. Where no files can be had, a process keeps salts and visits of its own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple
from weakref import WeakValueDictionary

from otel_usage.forks import call_in_children
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.visits.salt import DAY_MS, Salt, random_salt
from otel_usage.visits.shared_directory import DirectoryBusyError, SharedDirectory, possible_directories
from otel_usage.visits.visit_table import VisitTable

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 30.0
"""Longest time until deleted files are noticed."""
_SHORTEST_WAIT_SECONDS = 1.0
_SALT_PATIENCE_SECONDS = 0.1


class SharedView(NamedTuple):
    """What is in force; replaced as a whole, so that a request never sees half of it."""

    table: VisitTable
    salts: Mapping[int, Salt]
    """By day since the epoch."""
    inode: tuple[int, int] | None
    """Device and inode of the table's file, None for a private one."""


class SharedState:
    """Salts and visits of one service on this host, as this process sees them.

    Args:
        service_name: workers share with those of the same name and user.
        runtime_directory: what XDG_RUNTIME_DIR says.
        timeout_ms: longest pause within a visit; for so long after midnight the salt before is kept.
        clock_ms: milliseconds since the epoch.
    """

    def __init__(
        self, service_name: str, runtime_directory: str, timeout_ms: float, clock_ms: Callable[[], int]
    ) -> None:
        self._service_name = service_name
        self._runtime_directory = runtime_directory
        self._timeout_ms = timeout_ms
        self._clock_ms = clock_ms
        self._log = LogThrottle(interval_seconds=3600.0)
        self.is_closed = False
        self.view = SharedView(VisitTable.private(), {}, None)
        self._reset()
        call_in_children(self._renew_after_fork)

    def _reset(self) -> None:
        self._refreshing = threading.Lock()
        self._changing = threading.Lock()
        self._wake = threading.Event()
        self._refreshed = threading.Event()
        self._thread: threading.Thread | None = None

    def _renew_after_fork(self) -> None:
        # Mapped memory stays shared with the parent; its thread and the locks of its threads are not ours.
        self._reset()
        self.view.table.renew_locks()

    def ensure_thread(self) -> None:
        """Start the thread if this process has none: it was never started, or a fork left it behind."""
        if self._thread is None:
            with self._changing:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="otel-usage-salts", daemon=True)
                    with suppress(RuntimeError):  # the system has no threads left, or the process ends
                        thread.start()
                        self._thread = thread

    def wait_until_loaded(self, seconds: float) -> None:
        """Return when the thread has looked for the files once, or the time is up."""
        refreshed = self._refreshed
        self.ensure_thread()
        if not self.view.salts:
            refreshed.wait(seconds)

    def salt_of(self, day: int) -> Salt:
        """Return the salt of a day that the view lacks: the clock has jumped, or the files do not come.

        The thread gets a moment to load it; after that the process takes one of its own, until the thread is back.
        """
        deadline = time.monotonic() + _SALT_PATIENCE_SECONDS
        while not self.is_closed and day not in self.view.salts and time.monotonic() < deadline:
            refreshed = self._refreshed
            self._wake.set()
            refreshed.wait(_SALT_PATIENCE_SECONDS / 4)
        with self._changing:
            salts = dict(self.view.salts)
            salt = salts.setdefault(day, Salt(random_salt(), self._service_name))
            self.view = self.view._replace(salts=salts)
        return salt

    def drop_table(self, broken: VisitTable) -> None:
        """Go on with an empty table of this process until the thread has repaired the file."""
        with self._changing:
            if self.view.table is broken:
                self.view = self.view._replace(table=VisitTable.private(), inode=None)
        self._wake.set()

    def refresh(self) -> None:
        """Bring salts and table in line with the files, now, in the calling thread. Never raises."""
        with self._refreshing:
            day, ms_of_day = divmod(self._clock_ms(), DAY_MS)
            # Yesterday's, today's, and tomorrow's, which must be there before it is needed.
            days = range(day - 1 if ms_of_day < self._timeout_ms else day, day + 2)
            held = self.view
            try:
                view = self._view_of_files(held, days, day)
            except Exception as error:
                if held.inode is None:
                    self._warn(error)
                view = held
            with self._changing:
                known = {**self.view.salts, **view.salts}
                salts = {each: known[each] for each in days if each in known}
                for each in range(day, day + 2):
                    if each not in salts:
                        salts[each] = Salt(random_salt(), self._service_name)
                self.view = view._replace(salts=salts)
        done, self._refreshed = self._refreshed, threading.Event()
        done.set()

    def close(self, timeout_seconds: float | None = None) -> None:
        """End the thread; the files stay for the other workers, and for this one's next start."""
        self.is_closed = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self.is_closed:
            self._wake.clear()
            self.refresh()
            self._wake.wait(self._seconds_to_next_change())

    def _seconds_to_next_change(self) -> float:
        """Return how long nothing changes by itself: then the salt before is over."""
        seconds = (self._timeout_ms - self._clock_ms() % DAY_MS) / 1000
        return (
            min(max(seconds, _SHORTEST_WAIT_SECONDS), _INTERVAL_SECONDS) if seconds > 0 else _INTERVAL_SECONDS
        )

    def _view_of_files(self, held: SharedView, days: range, today: int) -> SharedView:
        # The day after tomorrow's too: another worker may be past midnight already.
        kept_days = range(days.start, today + 3)
        view: SharedView | None = None
        failures: list[OSError] = []
        for path in possible_directories(self._service_name, self._runtime_directory):
            try:
                with SharedDirectory.locked(path, create=view is None) as directory:
                    directory.remove_salts(kept_days)
                    if view is None:
                        table, inode = directory.open_table(held.table, held.inode)
                        view = SharedView(table, self._salts_of(directory, held, days, today), inode)
            except OSError as error:
                failures.append(error)
        if view is None:
            raise failures[0]
        return view

    def _salts_of(
        self, directory: SharedDirectory, held: SharedView, days: range, today: int
    ) -> dict[int, Salt]:
        salts: dict[int, Salt] = {}
        for day in days:
            known = held.salts.get(day)
            raw = directory.read_salt(day)
            if raw is None and day >= today:
                raw = known.raw if known is not None else random_salt()
                directory.keep_salt(day, raw)
            if raw is not None:
                is_known = known is not None and known.raw == raw
                salts[day] = known if known is not None and is_known else Salt(raw, self._service_name)
        return salts

    def _warn(self, error: Exception) -> None:
        reason = error.strerror or str(error) if isinstance(error, OSError) else describe_error(error)
        self._log.log(
            logger,
            logging.WARNING,
            "Workers cannot share their visits (%s), so each counts its own. "
            "Give them a directory that they can write, by XDG_RUNTIME_DIR or TMPDIR.",
            "another process keeps the directory locked" if isinstance(error, DirectoryBusyError) else reason,
        )


_state_by_key: WeakValueDictionary[tuple[object, ...], SharedState] = WeakValueDictionary()
_finding = threading.Lock()


def _renew_lock_after_fork() -> None:
    global _finding
    _finding = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock_after_fork)


def shared_state(service_name: str, timeout_ms: float, clock_ms: Callable[[], int]) -> SharedState:
    """Return the one state of this process for these arguments.

    Two of them over one file would not exclude each other: the kernel's locks are held by processes.
    """
    runtime_directory = os.environ.get("XDG_RUNTIME_DIR", "")
    key = (service_name, runtime_directory, timeout_ms, clock_ms)
    with _finding:
        state = _state_by_key.get(key)
        if state is None or state.is_closed:
            state = _state_by_key[key] = SharedState(service_name, runtime_directory, timeout_ms, clock_ms)
        return state
