"""Asks a visit store on behalf of requests: for a bounded time, and not again for a while once it has failed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_usage.errors import OtelUsageError
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.visits.bounded_calls import BoundedCalls

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")
PAUSE_SECONDS = 10.0
"""After a failure the store is left alone for this long; then one request tries it."""


class StoreDown(Exception):
    """The visit store gave no answer, or was not asked because it is known to be down."""


class StoreAccess:
    """Asks the store of one manager, and remembers whether it answers.

    Shared between threads without a lock: at worst two requests try a store that is down, and a fork cannot
    leave a lock held.

    Args:
        prepare: makes the store ready; tried again before a question for as long as it fails.
        timeout_seconds: longest wait for an answer; None asks in the caller's own thread, without a bound.
        clock: seconds, never set back.
    """

    def __init__(
        self,
        prepare: Callable[[], None],
        timeout_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prepare = prepare
        self._calls = BoundedCalls(timeout_seconds) if timeout_seconds is not None else None
        self._clock = clock
        self._failure_log = LogThrottle()
        self._is_prepared = False
        self._down_until = 0.0
        """0 while the store answers."""

    @property
    def is_down(self) -> bool:
        """Whether the last that we know of the store is that it failed."""
        return self._down_until > 0

    def prepare(self) -> None:
        """Make the store ready now; if it is down, that is done before a later question."""
        with contextlib.suppress(StoreDown):  # logged, and nobody waits for the answer
            self.ask(lambda: None)

    def ask(self, question: Callable[[], _Answer]) -> _Answer:
        """Return the answer of the store.

        Raises:
            StoreDown: it has none, or was not asked.
        """
        if self._down_until:
            now = self._clock()
            if now < self._down_until:
                raise StoreDown
            self._down_until = now + PAUSE_SECONDS  # the others do not wait while this one tries
        try:
            answer = self._calls.call(lambda: self._put(question)) if self._calls else self._put(question)
        except OtelUsageError:
            raise  # of what was set up wrongly, which time does not mend
        except Exception as error:
            self._note_failure(error)
            raise StoreDown from error
        self._down_until = 0.0
        return answer

    def write(self, change: Callable[[], None]) -> None:
        """Change the store from a thread in the background, which may wait for it, and tries it also while it is down.

        Raises:
            Exception: whatever the change has raised.
        """
        try:
            self._put(change)
        except Exception as error:
            if not self.is_down:  # else requests would never find out by themselves that it is up
                self._note_failure(error)
            raise
        self._down_until = 0.0

    def _note_failure(self, error: Exception) -> None:
        self._down_until = self._clock() + PAUSE_SECONDS
        self._failure_log.log(
            logger,
            logging.ERROR,
            "The visit store failed, visits go by their tickets alone for %d seconds: %s",
            PAUSE_SECONDS,
            describe_error(error),
        )

    def _put(self, question: Callable[[], _Answer]) -> _Answer:
        # In the thread that asks: the switch is one of the context.
        with suppress_instrumentation():
            if not self._is_prepared:
                self._prepare()
                self._is_prepared = True
            return question()
