"""Asks slow sources where addresses are, in a thread of their own, so that no batch waits long for any of them.

Whoever is about to make events names their addresses all at once, and waits a second at most for what is not known
yet. What takes longer serves the events that come later: a source that answers nothing, or five thousand visitors at
once, cost one such second and not one each.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_usage.enrich.geo_answer import NOWHERE
from otel_usage.forks import call_in_children
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.model import Attributes

logger = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""How long the events of one batch wait for answers, all together."""
FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 600.0

_MOST_WAITING = 5_000
_MOST_REMEMBERED = 16_384
_REMEMBERED_SECONDS = 86_400.0
_UNKNOWN_SECONDS = 3_600.0
"""How long an address is not asked for again of which nothing is known."""
_IDLE_SECONDS = 60.0


class SourceUnavailable(Exception):
    """The source gives no answers at the moment. The text says why, and holds no address."""


class GeoSource(Protocol):
    """Somebody who knows where addresses are, and may take long to say it."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    def prepare(self) -> None:
        """Import what `ask` needs."""

    def ask(self, address: str) -> Attributes:
        """Return where an address is; called by one thread at a time.

        Raises:
            SourceUnavailable: it is no use to ask for others now.
        """


class GeoBackground:
    """Remembers answers of a source, and gets those that are missing.

    Args:
        source: that is asked.
        wait_seconds: how long `look_ahead` waits, `WAIT_SECONDS` by default.
        clock: seconds, for pauses and for how long an answer is remembered.
    """

    def __init__(
        self,
        source: GeoSource,
        *,
        wait_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._wait_seconds = WAIT_SECONDS if wait_seconds is None else wait_seconds
        self._clock = clock
        self._failure_log = LogThrottle(LONGEST_PAUSE_SECONDS)
        self._known: dict[str, tuple[Attributes, float]] = {}
        """Answers, and until when they are remembered; the oldest first."""
        self._pause_seconds = 0.0
        self._paused_until = float("-inf")
        self._reset()
        call_in_children(self._reset)

    def _reset(self) -> None:
        # The parent's thread is not in the child, and its lock may have been held.
        self._change = threading.Condition()
        self._waiting: dict[str, None] = {}
        self._thread: threading.Thread | None = None
        self._is_behind = False

    def prepare(self) -> None:
        """Import what the first question needs."""
        self._source.prepare()

    def find(self, address: str) -> Attributes:
        """Return what is known of an address by now; asks nobody."""
        return self._known.get(address, (NOWHERE, 0.0))[0]

    def look_ahead(self, addresses: Iterable[str]) -> None:
        """Ask for the addresses that are not known, and wait for the answers as long as that may take.

        Nobody waits while older questions are open still: they would be waited for again and again.
        """
        now = self._clock()
        missing = [address for address in addresses if not self._knows(address, now)]
        if not missing or now < self._paused_until:
            return
        with self._change:
            for address in missing[: _MOST_WAITING - len(self._waiting)]:
                self._waiting[address] = None
            if not self._ensure_thread() or self._is_behind:
                return
            self._is_behind = not self._change.wait_for(lambda: not self._waiting, self._wait_seconds)

    def _knows(self, address: str, now: float) -> bool:
        known = self._known.get(address)
        return known is not None and now < known[1]

    def _ensure_thread(self) -> bool:
        self._change.notify_all()
        if self._thread is not None:
            return True
        thread = threading.Thread(target=self._run, name="otel-usage-geo", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        # The calls of a source must not become spans of the app.
        with suppress_instrumentation():
            while (address := self._next()) is not None:
                found = self._answer(address)
                with self._change:
                    if found is None:
                        self._waiting.clear()
                    else:
                        self._waiting.pop(address, None)
                        self._remember(address, found)
                    if not self._waiting:
                        self._is_behind = False
                    self._change.notify_all()

    def _next(self) -> str | None:
        """Return the address that has waited longest; None when none came for a while, and the thread is to end."""
        with self._change:
            if not self._change.wait_for(lambda: bool(self._waiting), _IDLE_SECONDS):
                self._thread = None
                return None
            return next(iter(self._waiting))

    def _answer(self, address: str) -> Attributes | None:
        """Return what the source says; None when it is to be left alone."""
        try:
            found = self._source.ask(address)
        except SourceUnavailable as error:
            self._pause(error)
            return None
        except Exception as error:  # of the app's own function: other addresses may do
            self._failure_log.log(
                logger, logging.ERROR, "%s failed: %s", self._source.name, describe_error(error)
            )
            found = NOWHERE
        self._pause_seconds = 0.0
        return found

    def _pause(self, error: SourceUnavailable) -> None:
        self._pause_seconds = min(max(2 * self._pause_seconds, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._paused_until = self._clock() + self._pause_seconds
        self._failure_log.log(
            logger,
            logging.WARNING,
            "%s %s. It is left alone for %.0f seconds; events go on without a country",
            self._source.name,
            error,
            self._pause_seconds,
        )

    def _remember(self, address: str, found: Attributes) -> None:
        # Anew at the end, so that the oldest stands first.
        self._known.pop(address, None)
        while len(self._known) >= _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        seconds = _REMEMBERED_SECONDS if found else _UNKNOWN_SECONDS
        self._known[address] = (found, self._clock() + seconds)
