"""A visit store for tests: the least that one may be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from otel_usage.visits.manager import BaseVisitManager, to_datetime
from otel_usage.visits.visit import Visit


class DictManager(BaseVisitManager):
    """The least that a store may be: the four methods."""

    def __init__(self, rows: dict[str, tuple[Visit, datetime]]) -> None:
        self.rows = rows

    def new_visit_with_key(self, key: str) -> Visit:
        visit = Visit(key, True, "", self.clock_ms())
        self.rows[key] = visit, self.expiry_from_now()
        return visit

    def visit_for_key(self, key: str) -> Visit | None:
        visit, expiry = self.rows.get(key, (None, None))
        return visit if expiry is not None and expiry >= to_datetime(self.clock_ms()) else None

    def update_queued_visits(self, queue: Mapping[str, datetime]) -> None:
        for key in queue.keys() & self.rows.keys():
            visit, expiry = self.rows[key]
            self.rows[key] = visit, max(expiry, queue[key])
