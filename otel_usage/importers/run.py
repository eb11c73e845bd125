"""Runs an import: chunks of a source into the store, one chunk being read while another one is stored."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial

from otel_usage.importers.chunk import Chunk, Tally
from otel_usage.importers.event_rows import Rows, SomeRows
from otel_usage.importers.store import EventStore, Outcome

_CHUNKS_AHEAD = 1
"""Chunks that may wait while another one is stored; about 40 MB each."""


class Import:
    """Brings the chunks of sources into one store.

    Args:
        store: where they go.
        retention_days: events that are older are refused, because ClickHouse would delete them.
        is_dry_run: only look what would be stored.
        on_progress: told the tally after each chunk.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        retention_days: int | None = None,
        is_dry_run: bool = False,
        on_progress: Callable[[Tally], None] | None = None,
    ) -> None:
        self._store = store
        self._is_dry_run = is_dry_run
        self._on_progress = on_progress
        self._retention_days = retention_days

    def run(self, chunks: Iterable[Chunk], tally: Tally) -> None:
        """Store what the chunks hold and count it. What was handed over is stored also when the source fails.

        Raises:
            OtelUsageError: the source cannot be read on, or ClickHouse does not take any more.
        """
        under_way: deque[Future[None]] = deque()
        with _garbage_left_alone(), ThreadPoolExecutor(1, "otel-usage-import") as executor:
            try:
                for chunk in chunks:
                    while len(under_way) > _CHUNKS_AHEAD:
                        under_way.popleft().result()
                    under_way.append(executor.submit(partial(self._take, chunk, tally)))
            finally:
                while under_way:
                    self._wait_for(under_way.popleft(), under_way)

    def _wait_for(self, first: Future[None], others: deque[Future[None]]) -> None:
        try:
            first.result()
        except BaseException:
            # What ClickHouse did not take now, it will not take a moment later.
            for other in others:
                other.cancel()
            others.clear()
            raise

    def _take(self, chunk: Chunk, tally: Tally) -> None:
        rows, further = self._young_enough(chunk.rows), self._young_enough(chunk.further)
        too_old = len(chunk.rows.ids) - len(rows.ids)
        if self._is_dry_run:
            outcome = Outcome(self._store.count_missing(rows))
            tally.further += self._store.count_missing(further)
        else:
            outcome = self._store.store(rows)
            tally.further += self._store.store(further).stored
            self._store.set_aside(chunk.refused)
        tally.stored += outcome.stored
        tally.already_there += len(rows.ids) - outcome.stored - outcome.rejected
        for refusal in chunk.refused:
            tally.refuse(refusal.reason, refusal.place)
        if too_old:
            kept = f"{self._retention_days} days for which events are kept (OTEL_USAGE_RETENTION_DAYS)"
            tally.refuse(f"older than the {kept}", count=too_old)
        if outcome.rejected:
            tally.refuse(f"not taken, see rejected_events: {outcome.reason}", count=outcome.rejected)
        if self._on_progress is not None:
            self._on_progress(tally)

    def _young_enough(self, rows: Rows) -> Rows:
        """Return the events that ClickHouse keeps.

        Those that it has deleted by age cannot be looked up, and would count again in the states, which stay.
        """
        if self._retention_days is None or not rows.ids:
            return rows
        oldest = datetime.now(timezone.utc) - timedelta(days=self._retention_days)
        oldest_ns = int(oldest.timestamp()) * 10**9
        if min(rows.times) > oldest_ns:
            return rows
        return SomeRows(rows, [place for place, time_ns in enumerate(rows.times) if time_ns > oldest_ns])


@contextmanager
def _garbage_left_alone() -> Iterator[None]:
    # Events hold no cycles. The collector would walk over all of a chunk's again and again, for a tenth of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
