"""Requests that Flask-Track-Usage stored: one `request` event for each row of its SQL table.

The table is that of 1.0 (without X-Forwarded-For), 1.1 (with it), 2.0 (with the user and `track_var`) or of the
unreleased code behind it (with longer paths); other columns are passed over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import timezone
from typing import Any

import sqlalchemy as sa

from otel_usage import attributes as names
from otel_usage.client_api.page import read_page
from otel_usage.enrich import STEPS, enrich
from otel_usage.enrich.geo_answer import read_answer
from otel_usage.enrich.stages import StageMatcher
from otel_usage.enrich.user_agent import read_user_agent
from otel_usage.importers.chunk import Chunk, Refusal
from otel_usage.importers.client_addresses import ClientAddresses
from otel_usage.importers.cut_json import ReadObject, read_object
from otel_usage.importers.identity import build_event, row_id
from otel_usage.importers.log_events import FILTERED
from otel_usage.importers.logged_request import NO_STATUS
from otel_usage.importers.old_agents import agent_attributes
from otel_usage.importers.old_database import OldDatabase, raw
from otel_usage.importers.old_rows import (
    ImportOptions,
    MadeRows,
    RowRefused,
    chunks_of,
    to_integer,
    to_nanoseconds,
    to_text,
)
from otel_usage.importers.skipped_hours import SkippedHours
from otel_usage.instrumentation.address import parse_address
from otel_usage.instrumentation.redaction import bounded, redact_query, secret_parameters
from otel_usage.instrumentation.scope import Scope
from otel_usage.model import AttributeValue
from otel_usage.reports.funnels import load_funnels

SYSTEM = "flask-track-usage"
TABLE = "flask_usage"

COLUMNS = (
    "id",
    "url",
    "ua_browser",
    "ua_language",
    "ua_platform",
    "ua_version",
    "blueprint",
    "view_args",
    "status",
    "remote_addr",
    "authorization",
    "ip_info",
    "path",
    "speed",
    "datetime",
)
"""What every generation of the table has."""
_LATER_COLUMNS = ("xforwardedfor", "username", "track_var")

MOVED_AT_MOST_NS = 2 * 3600 * 10**9
"""How far another `--timezone` moves a row: by what clocks are put forward."""

NO_PATH = "neither a URL nor a path"
_REFUSED_STATUSES = (401, 403)
_NO_NAME = "None"
"""How a header that names no user, such as a bearer token, was written down."""
_TRUE = (True, 1, "1", "t", "true")
_LONGEST_DURATION_SECONDS = 366 * 86_400
_TRUNCATED = "_truncated"
"""Lists the keys of `track_var` that are left out."""
_MOST_LEFT_OUT = 3
_ROOM_FOR_TRACK_VAR = names.MAX_TEXT - (_MOST_LEFT_OUT + 1) * names.MAX_NAME
# The columns say what the agent was, and the agent itself is not there.
_STEPS = tuple(step for step in STEPS if step is not read_user_agent)


class TrackedRequests:
    """The table of one app.

    Args:
        database: of the app.
        options: of the import; the zone is that of the old server.
        table: its name.
        keeps_users: also what an Authorization header claimed, and nobody may have checked.

    Raises:
        OtelUsageError: there is no such table, or it is none of Flask-Track-Usage's.
        SettingError: the settings cannot be used together.
    """

    def __init__(
        self, database: OldDatabase, options: ImportOptions, *, table: str = TABLE, keeps_users: bool = True
    ) -> None:
        self._database = database
        self._service = options.service
        self._table = database.table(table, "--table", COLUMNS)
        self._hours = SkippedHours(database, self._table, options.zone)
        self._keeps_users = keeps_users
        settings = options.settings
        self._clients = ClientAddresses(settings)
        self._scope = Scope(settings)
        self._secrets = secret_parameters(settings.form_name)
        self._matcher = StageMatcher(
            load_funnels(settings.funnels) if settings.funnels else (), ignores_users=settings.ignore_users
        )
        self.unreadable_addresses = 0
        """Rows whose address is none, such as one of IPv6 that its column was too short for."""

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._table.name

    def chunks(self) -> Iterator[Chunk]:
        """Yield the requests, in the order of their keys."""
        columns = self._table.columns
        wanted = [*COLUMNS, *(name for name in _LATER_COLUMNS if name in columns)]
        query = sa.select(*(raw(columns[name], name) for name in wanted))
        return chunks_of(self._database.pages(query, self._table), self._add, self._service)

    def _add(self, row: dict[str, Any], made: MadeRows) -> None:
        event_id = row_id(
            self._service, SYSTEM, self._table.name, row["id"], _moment_of(row["datetime"]), row["url"]
        )
        try:
            time_ns = self._hours.corrected(to_nanoseconds(row["datetime"], timezone.utc), row["id"])
            status = _status(row["status"])
            where = self._where(row)
        except RowRefused as error:
            # What it says of its visitor is left out: `rejected_events` knows no rules for addresses.
            kept = {name: row[name] for name in ("datetime", "status", "path")}
            made.refuse(str(error), {**kept, "key_0": row["id"]}, event_id)
            return
        if reason := self._scope.reason_to_filter_page(str(where[names.PATH])):
            made.refused.append(Refusal(FILTERED[reason], f"row {row['id']}"))
            return
        event = build_event(
            names.REQUEST, event_id, time_ns, self._service, self._attributes(row, status, where)
        )
        event = enrich(event._replace(duration_ns=_duration_ns(row["speed"])), _STEPS)
        made.events.append(event)
        made.further.extend(self._matcher.stages_reached(event))

    def _where(self, row: dict[str, Any]) -> dict[str, AttributeValue]:
        """Return scheme, host, path and query.

        The path stands in a column of its own too, without the place where the app is mounted. Either may be cut.
        """
        path = _text(row["path"])
        page = read_page(_text(row["url"]), "")
        if not page.host:
            if not path.startswith("/"):
                raise RowRefused(NO_PATH)
            return {names.PATH: bounded(path, names.MAX_TEXT)}
        found: dict[str, AttributeValue] = {
            names.SCHEME: page.scheme,
            names.HOST: bounded(page.host, names.MAX_NAME),
            names.PATH: bounded(max(page.path, path, key=len), names.MAX_TEXT),
        }
        if page.query:
            found[names.QUERY] = bounded(redact_query(page.query, self._secrets), names.MAX_TEXT)
        return found

    def _attributes(
        self, row: dict[str, Any], status: int, where: dict[str, AttributeValue]
    ) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {
            names.EVENT_NAME: names.REQUEST,
            names.STATUS_CODE: status,
            **where,
            **agent_attributes(row["ua_browser"], row["ua_platform"], row["ua_version"]),
            **self._client(row),
            **_view_arguments(row["view_args"]),
            **_track_var(row.get("track_var")),
        }
        if row["ua_language"]:
            attributes[names.LANGUAGE] = to_text(row["ua_language"], 35)
        if row["blueprint"]:
            attributes[names.BLUEPRINT] = to_text(row["blueprint"])
        if row["authorization"] in _TRUE:
            attributes[names.HAS_AUTHORIZATION] = True
        user = to_text(row.get("username"))
        # What a login was tried with that failed is no user.
        if self._keeps_users and user not in ("", _NO_NAME) and status not in _REFUSED_STATUSES:
            attributes[names.USER_ID] = user
        return attributes

    def _client(self, row: dict[str, Any]) -> dict[str, AttributeValue]:
        peer, forwarded_for = _text(row["remote_addr"]), _text(row.get("xforwardedfor"))
        is_peer_cut = self._may_be_cut("remote_addr", peer)
        is_whole = not self._may_be_cut("xforwardedfor", forwarded_for)
        if "," in peer:
            # 1.0 wrote the whole header into this column.
            peer, forwarded_for, is_whole = "", peer, not is_peer_cut
        elif is_peer_cut and ":" in peer:
            peer = ""  # the beginning of an address may be another address
        found = self._clients.attributes(peer, forwarded_for, is_whole=is_whole)
        if row["remote_addr"] and parse_address(peer) is None and not found[names.CLIENT_ADDRESS]:
            self.unreadable_addresses += 1
        place = _text(row["ip_info"])
        if place and (read := read_object(place)) != ReadObject({}):
            found.update(read_answer(read.pairs))
            if self._clients.keeps_everything:
                found[names.PROPERTY_PREFIX + "ip_info"] = bounded(place, names.MAX_TEXT)
        return found

    def _may_be_cut(self, column: str, text: str) -> bool:
        """Return whether a text fills its column, in a database that cuts what does not fit."""
        if not text or not self._database.cuts_texts:
            return False
        width: int | None = getattr(self._table.columns[column].type, "length", None)
        return width is not None and len(text) >= width


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _moment_of(value: object) -> object:
    """Return a time as it is named in ids: the same whatever the driver gives it as."""
    try:
        return to_nanoseconds(value, timezone.utc)
    except RowRefused:
        return value


def _status(value: object) -> int:
    try:
        status = to_integer(value)
    except RowRefused:
        status = 0
    if not 100 <= status <= 999:
        raise RowRefused(NO_STATUS)
    return status


def _duration_ns(value: object) -> int:
    try:
        seconds = float(value)  # type: ignore[arg-type]  # a number of any kind, or none
    except (TypeError, ValueError):
        return 0
    is_duration = math.isfinite(seconds) and 0 <= seconds <= _LONGEST_DURATION_SECONDS
    return round(seconds * 10**9) if is_duration else 0


def _view_arguments(value: object) -> dict[str, AttributeValue]:
    read = read_object(_text(value)) if value else ReadObject({})
    found: dict[str, AttributeValue] = {
        names.VIEW_ARGUMENT_PREFIX + name: bounded(
            part if isinstance(part, str) else json.dumps(part), names.MAX_TEXT
        )
        for name, part in list(read.pairs.items())[: names.MAX_PROPERTIES]
    }
    if not read.is_whole:
        found[names.PROPERTY_PREFIX + "view_args"] = to_text(value, names.MAX_TEXT)
    return found


def _track_var(value: object) -> dict[str, AttributeValue]:
    """Return what the app had put into `g.track_var`, as live events have it: one JSON object."""
    read = read_object(_text(value)) if value else ReadObject({})
    if not read.pairs and not read.cut:
        return {}
    written = json.dumps(read.pairs, ensure_ascii=False)
    if read.cut or len(written) > names.MAX_TEXT:
        written = json.dumps(_fitting(read), ensure_ascii=False)
    return {names.TRACK_VAR: bounded(written, names.MAX_TEXT)}


def _fitting(read: ReadObject) -> dict[str, Any]:
    """Return the pairs that fit, and the names of those that do not."""
    kept: dict[str, Any] = {}
    left_out = list(read.cut)
    room = _ROOM_FOR_TRACK_VAR
    for name, part in read.pairs.items():
        size = len(json.dumps({name: part}, ensure_ascii=False))
        if size <= room:
            kept[name] = part
            room -= size
        else:
            left_out.append(name)
    short_names = [name[: names.MAX_NAME] for name in left_out[:_MOST_LEFT_OUT]]
    return {**kept, _TRUNCATED: short_names} if short_names else kept
