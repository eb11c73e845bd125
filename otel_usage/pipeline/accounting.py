"""Where every event went: `seen = stored + filtered + rejected + dropped + waiting`, at any time."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccountingSnapshot:
    """Numbers of events since the process started. `filtered`, `rejected` and `dropped` are by reason."""

    seen: int
    stored: int
    waiting: int
    filtered: Mapping[str, int]
    rejected: Mapping[str, int]
    dropped: Mapping[str, int]


class Accounting:
    """Counts the fate of each event. An event is counted as seen first and leaves `waiting` once."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A forked worker has seen nothing yet, and the lock may have been held while the parent forked.
        self._lock = threading.Lock()
        self._seen = self._stored = self._waiting = 0
        self._filtered: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def add_waiting(self, count: int = 1) -> None:
        """Count events that entered the pipeline."""
        with self._lock:
            self._seen += count
            self._waiting += count

    def add_filtered(self, reason: str) -> None:
        """Count a request that the settings exclude."""
        with self._lock:
            self._seen += 1
            self._filtered[reason] += 1

    def add_refused(self, reason: str, count: int = 1) -> None:
        """Count events that never entered the queue."""
        with self._lock:
            self._seen += count
            self._dropped[reason] += count

    def settle_stored(self, count: int) -> None:
        """Move events from waiting to stored."""
        with self._lock:
            self._waiting -= count
            self._stored += count

    def settle_rejected(self, reason: str, count: int) -> None:
        """Move events from waiting to rejected."""
        with self._lock:
            self._waiting -= count
            self._rejected[reason] += count

    def settle_dropped(self, reason: str, count: int) -> None:
        """Move events from waiting to dropped."""
        with self._lock:
            self._waiting -= count
            self._dropped[reason] += count

    def snapshot(self) -> AccountingSnapshot:
        """Return the numbers of one moment."""
        with self._lock:
            return AccountingSnapshot(
                self._seen,
                self._stored,
                self._waiting,
                dict(self._filtered),
                dict(self._rejected),
                dict(self._dropped),
            )
