"""Log lines about a trouble that repeats: the first one at once, then one per interval with the count."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


class LogThrottle:
    """Lets one line through per interval and counts the others.

    Shared between threads without a lock: at worst two of them log at once, and a fork cannot leave it held.
    """

    def __init__(self, interval_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._next_at = float("-inf")
        self._held_back = 0

    def log(self, logger: logging.Logger, level: int, message: str, *arguments: object) -> None:
        """Log the line, or count it when one went out within the interval."""
        now = self._clock()
        if now < self._next_at:
            self._held_back += 1
            return
        self._next_at = now + self._interval_seconds
        held_back, self._held_back = self._held_back, 0
        logger.log(level, message, *arguments)
        if held_back:
            logger.log(level, "(%d more like this since the last such line)", held_back)


def describe_error(error: BaseException) -> str:
    """Return the kind and place of an error, without its text: that may quote what a client sent."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}" if place is not None else ""
    return f"{type(error).__name__}{where}"
