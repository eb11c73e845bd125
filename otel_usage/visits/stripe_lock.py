"""A lock between the threads of all processes that map one file, for sections of microseconds."""

from __future__ import annotations

import threading
import time
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from types import TracebackType

_TRY = LOCK_EX | LOCK_NB
_PATIENCE_SECONDS = 0.05
_RETRY_SECONDS = 0.0002
_GIVEN_UP_SECONDS = 1.0


class StripeLock:
    """Between threads a lock of `threading`, between processes the kernel's on one byte of a file.

    The kernel takes it from a process that is killed. One that is stopped while it holds the lock makes each other
    process wait for 50 ms once a second; otherwise they go on without it.

    Args:
        file: descriptor, which stays open as long as the lock is used; None guards against threads only.
        position: of the byte; it need not exist.
    """

    __slots__ = ("_file", "_given_up_until", "_is_held", "_position", "_thread_lock")

    def __init__(self, file: int | None, position: int) -> None:
        self._file = file
        self._position = position
        self._thread_lock = threading.Lock()
        self._is_held = False
        self._given_up_until = 0.0

    def __enter__(self) -> None:
        self._thread_lock.acquire()
        if self._file is not None:
            try:
                lockf(self._file, _TRY, 1, self._position)
                self._is_held = True
            except (BlockingIOError, PermissionError):  # another process has it
                self._is_held = self._wait(self._file)
            except OSError:  # the kernel has no locks left, or somebody has closed our file
                self._is_held = False
            except BaseException:  # a signal's handler raised
                self._thread_lock.release()
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._is_held and self._file is not None:
                self._is_held = False
                lockf(self._file, LOCK_UN, 1, self._position)
        finally:
            self._thread_lock.release()

    def _wait(self, file: int) -> bool:
        started = time.monotonic()
        if started < self._given_up_until:
            return False
        # Not the kernel's own waiting, which has no end.
        while time.monotonic() - started < _PATIENCE_SECONDS:
            time.sleep(_RETRY_SECONDS)
            try:
                lockf(file, _TRY, 1, self._position)
            except OSError:
                continue
            return True
        self._given_up_until = time.monotonic() + _GIVEN_UP_SECONDS
        return False
