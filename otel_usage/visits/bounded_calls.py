"""Calls that a request waits for no longer than a bound, whatever the driver below them waits for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from otel_usage.forks import call_in_children

_Result = TypeVar("_Result")
MAX_THREADS = 4
_IDLE_SECONDS = 60.0


class BoundedCalls:
    """Runs calls in a few threads of its own, started when they are needed and ended when they are not.

    A call that takes too long goes on in its thread, and its caller goes on without it. When all threads hang,
    further calls wait in vain for their bound, and then never run.

    Args:
        timeout_seconds: longest wait of a caller.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._reset()
        call_in_children(self._reset)

    def _reset(self) -> None:
        self._jobs: deque[_Job[object]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Return what the function returns, or raise what it raises.

        Raises:
            TimeoutError: it did not end in time.
        """
        job = _Job(function)
        with self._changed:
            self._jobs.append(job)  # type: ignore[arg-type]  # a thread hands the result to the job alone
            if self._idle < len(self._jobs) and self._threads < MAX_THREADS:
                threading.Thread(target=self._run, name="otel-usage-visit-store", daemon=True).start()
                self._threads += 1
            self._changed.notify()
        if not job.ended.wait(self._timeout_seconds):
            job.is_given_up = True
            raise TimeoutError(f"the visit store gave no answer within {self._timeout_seconds} seconds")
        return job.result()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                has_job = self._changed.wait_for(lambda: bool(self._jobs), _IDLE_SECONDS)
                self._idle -= 1
                if not has_job:
                    self._threads -= 1
                    return
                job = self._jobs.popleft()
            job.run()
            del job  # or its result would stay until the next one


class _Job(Generic[_Result]):
    """A call on its way through a thread."""

    def __init__(self, function: Callable[[], _Result]) -> None:
        self._function = function
        self._error: BaseException | None = None
        self._results: list[_Result] = []
        self.ended = threading.Event()
        self.is_given_up = False

    def run(self) -> None:
        if not self.is_given_up:
            try:
                self._results.append(self._function())
            except BaseException as error:
                self._error = error
        self.ended.set()

    def result(self) -> _Result:
        if self._error is not None:
            raise self._error
        return self._results[0]
