"""Visits of TurboGears: what is known of each, as the requests that it must have had.

A row of `visit` was made by the first request of a visitor, at `created`: one request that opened a visit. `expiry`
was moved on by later ones, to the time-out after each. So a row stands for one `request` event that opens the visit,
and, if `expiry` says that there was a later one, for a second one at that time. The others are not known, nor are
any of their paths; visits, their times and users are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from otel_usage import attributes as names
from otel_usage.enrich import enrich
from otel_usage.importers.chunk import Chunk
from otel_usage.importers.client_addresses import address_policy
from otel_usage.importers.identity import build_event, row_id
from otel_usage.importers.old_database import OldDatabase, raw
from otel_usage.importers.old_rows import (
    ImportOptions,
    MadeRows,
    RowRefused,
    chunks_of,
    hashed_key,
    to_nanoseconds,
    to_text,
)
from otel_usage.instrumentation.address import parse_address
from otel_usage.model import AttributeValue, Event

SYSTEM = "turbogears"
VISITS, IDENTITIES = "visit", "visit_identity"
DEFAULT_TIMEOUT_SECONDS = 1200

_OWN_COLUMNS = ("visit_key", "created", "expiry")
_ADDRESS_COLUMNS, _AGENT_COLUMNS = ("ip_address", "ip", "remote_addr"), ("user_agent", "useragent")
_SECOND_NS = 10**9


class TurboGearsVisits:
    """The table of visits, with the users of the table of identities.

    Args:
        database: of the app.
        options: of the import.
        table: of the visits. Its columns `ip_address` and `user_agent` count as such; what else an app has added
            becomes properties.
        identities_table: who signed in during which visit; empty for nobody.
        timeout_seconds: the old `visit.timeout`, by which `expiry` lies behind the last request.

    Raises:
        OtelUsageError: there is no such table or column.
        SettingError: the settings cannot be used together.
    """

    def __init__(
        self,
        database: OldDatabase,
        options: ImportOptions,
        *,
        table: str = VISITS,
        identities_table: str = IDENTITIES,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        self._database = database
        self._options = options
        self._table = database.table(table, "--table", _OWN_COLUMNS)
        self._identities = (
            database.table(identities_table, "--identities-table", ["visit_key", "user_id"])
            if identities_table
            else None
        )
        self._timeout_ns = int(timeout_seconds * _SECOND_NS)
        self._policy = address_policy(options.settings)
        keys = {column.name for column in self._table.primary_key.columns}
        added = [column.name for column in self._table.columns if column.name not in {*_OWN_COLUMNS, *keys}]
        self._address_column = _first_of(added, _ADDRESS_COLUMNS)
        self._agent_column = _first_of(added, _AGENT_COLUMNS)
        self._added = added[: names.MAX_PROPERTIES]

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._table.name

    def chunks(self) -> Iterator[Chunk]:
        """Yield the visits, in the order of their keys."""
        columns = self._table.columns
        selected = [
            raw(columns.visit_key, "secret_visit_key"),
            raw(columns.created, "created"),
            raw(columns.expiry, "expiry"),
            *(raw(columns[name], f"added_{name}") for name in self._added),
        ]
        query = sa.select(*selected)
        if self._identities is not None:
            user = (
                sa.select(sa.func.max(self._identities.columns.user_id))
                .where(self._identities.columns.visit_key == columns.visit_key)
                .scalar_subquery()
            )
            query = query.add_columns(raw(user, "user_id"))
        return chunks_of(self._database.pages(query, self._table), self._add, self._options.service)

    def _add(self, row: dict[str, Any], made: MadeRows) -> None:
        key = str(row["secret_visit_key"] or "")
        # The key is unique in all the world, so it tells apart where a primary key would not.
        event_id = row_id(self._options.service, SYSTEM, self._table.name, key, "created")
        try:
            if not key:
                raise RowRefused("no visit key")
            opened_ns = to_nanoseconds(row["created"], self._options.zone)
            last_ns = self._last_request_ns(row, opened_ns)
        except RowRefused as error:
            made.refuse(str(error), {"created": row["created"], "expiry": row["expiry"]}, event_id)
            return
        attributes = self._attributes(row, key)
        user = to_text(row.get("user_id"))
        is_alone = last_ns is None
        made.events.append(
            self._request(
                event_id, opened_ns, {**attributes, names.VISIT_IS_NEW: True}, user if is_alone else ""
            )
        )
        if last_ns is not None:
            last_id = row_id(self._options.service, SYSTEM, self._table.name, key, "last")
            made.further.append(self._request(last_id, last_ns, attributes, user))

    def _last_request_ns(self, row: dict[str, Any], opened_ns: int) -> int | None:
        """Return when the last request came; None when it was the first one."""
        if row["expiry"] is None:
            return None
        last_ns = to_nanoseconds(row["expiry"], self._options.zone) - self._timeout_ns
        # The two times of one request were taken one after the other.
        return last_ns if last_ns >= opened_ns + _SECOND_NS else None

    def _request(
        self, event_id: bytes, time_ns: int, attributes: dict[str, AttributeValue], user: str
    ) -> Event:
        signed_in: dict[str, AttributeValue] = {names.USER_ID: user} if user else {}
        return enrich(
            build_event(names.REQUEST, event_id, time_ns, self._options.service, {**attributes, **signed_in})
        )

    def _attributes(self, row: dict[str, Any], key: str) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {
            names.EVENT_NAME: names.REQUEST,
            names.VISIT_KEY: hashed_key(SYSTEM, key),
        }
        for column in self._added:
            value = row[f"added_{column}"]
            if value is None:
                continue
            if column == self._address_column:
                kept = self._policy.apply(parse_address(str(value)) or "")
                attributes[names.CLIENT_ADDRESS] = kept.address
                if kept.hashed:
                    attributes[names.CLIENT_ADDRESS_HASH] = kept.hashed
            elif column == self._agent_column:
                attributes[names.USER_AGENT] = to_text(value, names.MAX_TEXT)
            else:
                attributes[names.PROPERTY_PREFIX + column] = to_text(value, names.MAX_TEXT)
        return attributes


def _first_of(columns: Sequence[str], wanted: Sequence[str]) -> str:
    return next((name for name in wanted if name in columns), "")
