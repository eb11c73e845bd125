"""An exporter that keeps what it is given, for tests that look at events rather than at a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from otel_usage.model import Event
from otel_usage.pipeline.exporters import Batch


class RecordingExporter:
    """Keeps every batch that it was asked to send, and the events of those that it took.

    Args:
        fail: called with the number of the attempt, from 1; raises what `send` shall raise.
    """

    def __init__(self, fail: Callable[[int], None] = lambda attempt: None) -> None:
        self._fail = fail
        self._lock = threading.Lock()
        self.attempts: list[Batch] = []
        self.delivered: list[Batch] = []
        self.set_aside_batches: list[tuple[Batch, str]] = []
        self.is_prepared = False
        self.is_closed = False

    def prepare(self) -> None:
        self.is_prepared = True

    def freeze(self, events: Sequence[Event], token: str) -> Batch:
        return Batch(token, events, [event.id for event in events])

    def send(self, batch: Batch) -> None:
        with self._lock:
            self.attempts.append(batch)
        self._fail(len(self.attempts))
        with self._lock:
            self.delivered.append(batch)

    def set_aside(self, batch: Batch, reason: str) -> None:
        self.set_aside_batches.append((batch, reason))

    def close(self) -> None:
        self.is_closed = True

    @property
    def events(self) -> list[Event]:
        """Every event that was delivered, in order."""
        with self._lock:
            return [event for batch in self.delivered for event in batch.events]

    def named(self, name: str) -> list[Event]:
        """The delivered events of one name."""
        return [event for event in self.events if event.name == name]
