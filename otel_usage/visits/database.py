"""The visit manager with a store behind it: each visit is a row of a database, reached through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError

from otel_usage.errors import SettingError
from otel_usage.settings import Settings
from otel_usage.visits.database_engine import VisitDatabase
from otel_usage.visits.keys import derive_key, key_generator
from otel_usage.visits.manager import BaseVisitManager, VisitRequest, now_ms, to_datetime
from otel_usage.visits.visit import Visit
from otel_usage.visits.visit_row import StoredVisit

_MAX_HASHED = 2048
_TIE_ATTEMPTS = 3
_DELETE_AT_ONCE = 1000
_TABLE_ATTEMPTS = 3
_QUIET_INSERTS: Mapping[str, Callable[[sa.Table], Any]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
"""Where a row that is there already need not be an error; PostgreSQL logs each one."""


class _Row(NamedTuple):
    visit_key: str
    visitor_id: str
    created: datetime
    expiry: datetime
    fingerprint: str | None


class SqlalchemyVisitManager(BaseVisitManager):
    """Keeps visits in a table that all workers and hosts share.

    A visit costs an INSERT when it opens, and a SELECT in each worker that has not seen it for an interval.

    Parallel first requests of one visitor belong to one visit, and one of them is new. Such requests have no
    ticket of a visit that lasts, but address, user agent and language in common, or the visitor of an earlier
    visit. They are taken for one visitor's until `tie_seconds` have passed, or the ticket has come back.

    Args:
        url: of the database; the setting `visit_database` if not given.
        model: a mapped class, or table, with the columns of `VisitColumns`, when the app has one of its own.
        **engine_options: for `sqlalchemy.create_engine`.
    """

    store_timeout_seconds = 1.0
    tie_seconds = 5.0
    """How long first requests are taken for parallel ones; 0 never does so."""
    keep_expired_seconds = 86_400.0
    """How long the row of a visit stays after its end."""
    clean_interval_seconds = 3600.0
    """How often each process deletes such rows."""

    def __init__(
        self,
        url: str | None = None,
        *,
        model: type[Any] | sa.Table = StoredVisit,
        **engine_options: Any,
    ) -> None:
        self._url = url
        self._table: sa.Table = model if isinstance(model, sa.Table) else model.__table__
        self._engine_options = engine_options

    def set_up(
        self,
        settings: Settings,
        secret: str | bytes,
        *,
        service_name: str = "",
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """Take what is in force, and try to make the table ready.

        Raises:
            SettingError: there is no URL, or none that can be used, or the app's table lacks a column.
        """
        missing = [name for name in _Row._fields if name not in self._table.c]
        if missing:
            raise SettingError(
                f"The table {self._table.name!r} cannot hold visits, it lacks: {', '.join(missing)}. "
                "Let its class inherit from otel_usage.visits.visit_row.VisitColumns"
            )
        self._fingerprint_key = derive_key(secret, "visit tie")
        self._database = VisitDatabase(self._url or settings.visit_database, self._engine_options)
        self._has_open_ties = True  # maybe those of a process that was killed
        self._cleaned_ms = 0
        super().set_up(settings, secret, service_name=service_name, clock_ms=clock_ms)

    def create_model(self) -> None:
        """Create the table and its indexes where they are missing; may be called by many processes at once."""
        for attempt in range(1, _TABLE_ATTEMPTS + 1):
            try:
                with self._database.transaction() as connection:
                    connection.execute(sa.schema.CreateTable(self._table, if_not_exists=True))
                    for index in self._table.indexes:
                        index.create(connection, checkfirst=True)
                return
            except DBAPIError:  # another process has just created it; then all is there when we look again
                if attempt == _TABLE_ATTEMPTS:
                    raise

    def new_visit_with_key(self, key: str) -> Visit:
        """Insert a visit of a new visitor."""
        visit = Visit(key, True, key_generator.new_key().hex(), self.clock_ms())
        self._insert(visit, None)
        return visit

    def visit_for_first_request(self, key: str, request: VisitRequest, visitor_id: str) -> Visit:
        """Insert a visit, or return the one that a parallel first request of the visitor has inserted."""
        visit = Visit(key, True, visitor_id or key_generator.new_key().hex(), self.clock_ms())
        fingerprint = self._fingerprint(request, visitor_id)
        if fingerprint is not None:
            self._has_open_ties = True
            for _ in range(_TIE_ATTEMPTS):
                if self._insert(visit, fingerprint):
                    return visit
                parallel = self._visit_with_fingerprint(fingerprint)
                if parallel is not None:
                    # Its own one, if the connection broke after the INSERT and it was sent again.
                    return visit if parallel.key == key else parallel
        self._insert(visit, None)
        return visit

    def visit_for_key(self, key: str) -> Visit | None:
        """Return the visit of a key while it lasts. Whose ticket has come back takes part in no tie any more."""
        row = self._select(self._table.c.visit_key == key)
        if row is None or row.expiry < self._now():
            return None
        if row.fingerprint is not None:
            self._forget_fingerprints(self._table.c.visit_key == key)
        return Visit(key, False, row.visitor_id, _to_ms(row.created))

    def update_queued_visits(self, queue: Mapping[str, datetime]) -> None:
        """Move expiry times on, in one transaction; none is moved back."""
        if not queue:
            return
        columns = self._table.c
        statement = (
            sa.update(self._table)
            .where(columns.visit_key == sa.bindparam("of_key"), columns.expiry < sa.bindparam("to_expiry"))
            .values(expiry=sa.bindparam("to_expiry"))
        )
        # Sorted: two workers that lock the same rows in different orders would wait for each other.
        rows = [{"of_key": key, "to_expiry": expiry} for key, expiry in sorted(queue.items())]
        with self._database.transaction() as connection:
            connection.execute(statement, rows)

    def keep_visit(self, visit: Visit) -> None:
        """Insert a visit that was opened while the database was down, or move its expiry on."""
        if not self._insert(visit, None):
            self.update_queued_visits({visit.key: self.expiry_from_now()})

    def tidy_up(self) -> None:
        """Forget the fingerprints of ties that are over, and now and then delete visits that ended long ago."""
        now = self.clock_ms()
        if self._has_open_ties:
            self._has_open_ties = False
            over = to_datetime(now) - timedelta(seconds=self.tie_seconds)
            columns = self._table.c
            self._forget_fingerprints(columns.fingerprint.is_not(None) & (columns.created < over))
        if now - self._cleaned_ms >= self.clean_interval_seconds * 1000:
            self._delete_expired()
            self._cleaned_ms = now

    def close(self, timeout_seconds: float | None = 5.0) -> None:
        """Write the expiry times that wait, end the thread that does so, and close the connections."""
        super().close(timeout_seconds)
        self._database.close()

    def _now(self) -> datetime:
        return to_datetime(self.clock_ms())

    def _fingerprint(self, request: VisitRequest, visitor_id: str) -> str | None:
        """Return what first requests of one visitor have in common; None when nothing tells visitors apart."""
        if not self.tie_seconds or not (visitor_id or request.client_address):
            return None
        facts = request.facts
        # Hosts that do not share the cookie do not share visits either.
        host = self.settings.cookie_domain or facts.host
        client = (request.client_address, facts.user_agent, facts.accept_language)
        told = (host, visitor_id) if visitor_id else (host, *client)
        text = ascii([part[:_MAX_HASHED] for part in told])
        return blake2b(text.encode(), digest_size=16, key=self._fingerprint_key).hexdigest()

    def _insert(self, visit: Visit, fingerprint: str | None) -> bool:
        """Insert a visit, and return False when its key or fingerprint is there already."""
        values = {
            "visit_key": visit.key,
            "visitor_id": visit.visitor_id,
            "created": to_datetime(visit.started_ms),
            "expiry": self.expiry_from_now(),
            "fingerprint": fingerprint,
        }
        return self._database.run(lambda connection: self._insert_new(connection, values))

    def _insert_new(self, connection: sa.Connection, values: Mapping[str, object]) -> bool:
        insert = _QUIET_INSERTS.get(connection.dialect.name)
        if insert is not None:
            quiet = insert(self._table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
            return connection.execute(quiet, values).rowcount == 1
        try:
            connection.execute(sa.insert(self._table), values)
        except IntegrityError:
            if self._is_taken(connection, values):
                return False
            raise  # for another reason, such as a column that the app's table has and we do not fill
        return True

    def _is_taken(self, connection: sa.Connection, values: Mapping[str, object]) -> bool:
        columns = self._table.c
        condition = columns.visit_key == values["visit_key"]
        if values["fingerprint"] is not None:
            condition |= columns.fingerprint == values["fingerprint"]
        return connection.execute(sa.select(columns.visit_key).where(condition)).first() is not None

    def _visit_with_fingerprint(self, fingerprint: str) -> Visit | None:
        """Return the visit of a parallel first request; one that began too long ago loses the fingerprint."""
        row = self._select(self._table.c.fingerprint == fingerprint)
        if row is None:
            return None
        now = self._now()
        if abs(now - row.created) <= timedelta(seconds=self.tie_seconds) and row.expiry >= now:
            return Visit(row.visit_key, False, row.visitor_id, _to_ms(row.created))
        self._forget_fingerprints(self._table.c.visit_key == row.visit_key)
        return None

    def _select(self, condition: sa.ColumnElement[bool]) -> _Row | None:
        columns = self._table.c
        statement = sa.select(*(columns[name] for name in _Row._fields)).where(condition)
        row = self._database.run(lambda connection: connection.execute(statement).first())
        return _Row(*row) if row is not None else None

    def _forget_fingerprints(self, condition: sa.ColumnElement[bool]) -> None:
        self._change(sa.update(self._table).where(condition).values(fingerprint=None))

    def _delete_expired(self) -> None:
        columns = self._table.c
        over = self._now() - timedelta(seconds=self.keep_expired_seconds)
        some = sa.select(columns.visit_key).where(columns.expiry < over).limit(_DELETE_AT_ONCE)
        # In portions, so that no other statement waits long for one of these.
        while keys := self._database.run(lambda connection: connection.execute(some).scalars().all()):
            chosen = columns.visit_key.in_(sorted(keys)) & (columns.expiry < over)
            self._change(sa.delete(self._table).where(chosen))

    def _change(self, statement: sa.Update | sa.Delete) -> None:
        self._database.run(lambda connection: connection.execute(statement))


def _to_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
