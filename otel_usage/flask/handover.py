"""Takes the event of one request from the worker's thread to the storages, and lets tests wait for that."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl

from otel_usage import attributes as names
from otel_usage.flask.storages import Delivery, RequestExtras
from otel_usage.log_throttle import LogThrottle
from otel_usage.model import Event
from otel_usage.pipeline.processor import UsageSpanProcessor

logger = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
"""How long a request of a test waits for the storages."""

_late_log = LogThrottle()
_given_up: weakref.WeakSet[UsageSpanProcessor] = weakref.WeakSet()


class Taker(NamedTuple):
    """The storages of one extension."""

    delivery: Delivery
    date: Callable[[], int | None]
    """Returns the `date` of the data in seconds since the epoch, None for the request's own."""


class Handover:
    """Hands the event of one request to the storages that want it."""

    __slots__ = ("_extras", "_takers", "is_done")

    def __init__(self, takers: Sequence[Taker], extras: RequestExtras) -> None:
        self._takers = takers
        self._extras = extras
        self.is_done: threading.Event | None = None
        """Set when all have it, where somebody waits for that."""

    def __call__(self, event: Event) -> None:
        """Offer the enriched event, on the worker's thread."""
        try:
            extras = self._extras._replace(url_args=_first_values(str(event.attributes.get(names.QUERY, ""))))
            for taker in self._takers:
                taker.delivery.offer(event, extras._replace(date=taker.date()))
        finally:
            if self.is_done is not None:
                self.is_done.set()

    def wait(self, deadline_seconds: float) -> bool:
        """Wait until the storages have dealt with the event, and return whether they were in time."""
        if self.is_done is None or not self.is_done.wait(deadline_seconds):
            return False
        return all(taker.delivery.flush(deadline_seconds) for taker in self._takers)


class StorageWait(NamedTuple):
    """What a test waits for after a request of its app, because it looks into the storages next."""

    handover: Handover | None
    reads_back: bool
    """A storage reads what the exporter has sent."""

    def wait(self, processor: UsageSpanProcessor | None) -> None:
        """Wait, a few seconds at most; an exporter that once was too late is not waited for again."""
        if processor is None or processor in _given_up:
            return
        # An exporter whose server is down must not hold up tests that do not ask it: a moment wakes the worker.
        is_sent = processor.force_flush(int(WAIT_SECONDS * 1000) if self.reads_back else 1)
        is_stored = self.handover is None or self.handover.wait(WAIT_SECONDS)
        if is_stored and (is_sent or not self.reads_back):
            return
        if not is_sent and self.reads_back:
            _given_up.add(processor)
        _late_log.log(
            logger,
            logging.WARNING,
            "TESTING is on, and a request did not reach its storages within %g seconds",
            WAIT_SECONDS,
        )


def _first_values(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True) if query else ():
        values.setdefault(name, value)
    return values
