"""Activities of django-djaffar: one `activity` event for each row of djaffar_activity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from otel_usage import attributes as names
from otel_usage.client_api.page import Page, read_page
from otel_usage.enrich import enrich
from otel_usage.enrich.stages import StageMatcher
from otel_usage.importers.chunk import Chunk, Refusal
from otel_usage.importers.client_addresses import address_policy
from otel_usage.importers.identity import build_event, row_id
from otel_usage.importers.log_events import FILTERED
from otel_usage.importers.old_database import OldDatabase, key_of, raw
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
from otel_usage.instrumentation.redaction import bounded, redact_url, secret_parameters
from otel_usage.instrumentation.scope import Scope
from otel_usage.model import AttributeValue
from otel_usage.reports.funnels import load_funnels

SYSTEM = "django-djaffar"
ACTIVITIES, SESSIONS = "djaffar_activity", "djaffar_sessioninfo"

_COLUMNS = ("date", "path", "referer", "ip_address", "user_id", "session_id")
_NO_SITE = "http://site.invalid"


class DjaffarActivities:
    """The table of activities, with the agents of its sessions.

    Args:
        database: of the app.
        options: of the import.
        table: of the activities.
        sessions_table: of the user agents.
        site: where paths belong that name no host, such as `https://shop.example`; empty when it is not known.

    Raises:
        OtelUsageError: there is no such table or column.
        SettingError: the settings cannot be used together.
    """

    def __init__(
        self,
        database: OldDatabase,
        options: ImportOptions,
        *,
        table: str = ACTIVITIES,
        sessions_table: str = SESSIONS,
        site: str = "",
    ) -> None:
        self._database = database
        self._options = options
        self._table = database.table(table, "--table", _COLUMNS)
        self._sessions = database.table(sessions_table, "--sessions-table", ["session_id", "user_agent"])
        self._site = site
        settings = options.settings
        self._policy = address_policy(settings)
        self._scope = Scope(settings)
        self._secrets = secret_parameters(settings.form_name)
        self._matcher = StageMatcher(
            load_funnels(settings.funnels) if settings.funnels else (), ignores_users=settings.ignore_users
        )

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._table.name

    def chunks(self) -> Iterator[Chunk]:
        """Yield the activities, in the order of their keys."""
        agent = (
            sa.select(sa.func.max(self._sessions.columns.user_agent))
            .where(self._sessions.columns.session_id == self._table.columns.session_id)
            .scalar_subquery()
        )
        earlier = self._table.alias("earlier")
        has_earlier = sa.exists().where(
            earlier.columns.session_id == self._table.columns.session_id,
            earlier.columns.id < self._table.columns.id,
        )
        query = sa.select(
            *(raw(self._table.columns[name], _label(name)) for name in _COLUMNS),
            raw(agent, "user_agent"),
            sa.case((has_earlier, 0), else_=1).label("is_first"),
        )
        return chunks_of(self._database.pages(query, self._table), self._add, self._options.service)

    def _add(self, row: dict[str, Any], made: MadeRows) -> None:
        service = self._options.service
        event_id = row_id(service, SYSTEM, self._table.name, key_of(row), row["date"], row["path"])
        try:
            time_ns = to_nanoseconds(row["date"], self._options.zone)
        except RowRefused as error:
            made.refuse(str(error), row, event_id)
            return
        page = self._page(to_text(row["path"], 4 * names.MAX_TEXT))
        if reason := self._scope.reason_to_filter_page(page.path):
            made.refused.append(Refusal(FILTERED[reason], f"row {key_of(row)}"))
            return
        event = enrich(build_event(names.ACTIVITY, event_id, time_ns, service, self._attributes(row, page)))
        made.events.append(event)
        made.further.extend(self._matcher.stages_reached(event))

    def _attributes(self, row: dict[str, Any], page: Page) -> dict[str, AttributeValue]:
        kept = self._policy.apply(parse_address(to_text(row["ip_address"])) or "")
        attributes: dict[str, AttributeValue] = {
            names.EVENT_NAME: names.ACTIVITY,
            names.CLIENT_ADDRESS: kept.address,
            names.USER_AGENT: to_text(row["user_agent"], names.MAX_TEXT),
            **page.attributes(self._secrets),
        }
        if kept.hashed:
            attributes[names.CLIENT_ADDRESS_HASH] = kept.hashed
        if row["referer"]:
            attributes[names.REFERRER_URL] = bounded(
                redact_url(str(row["referer"]), self._secrets), names.MAX_TEXT
            )
        if row["user_id"] is not None:
            attributes[names.USER_ID] = to_text(row["user_id"])
        if row["secret_session_id"]:
            attributes[names.VISIT_KEY] = hashed_key(SYSTEM, str(row["secret_session_id"]))
            attributes[names.VISIT_IS_NEW] = bool(row["is_first"])
        return attributes

    def _page(self, path: str) -> Page:
        page = read_page(path, self._site or _NO_SITE)
        if not self._site and page.url.startswith(_NO_SITE):
            page = page._replace(url=page.url.removeprefix(_NO_SITE), scheme="", host="")
        return page


def _label(column: str) -> str:
    # The key of a session that may still be open is shown nowhere, not even with a row that is refused.
    return f"secret_{column}" if column == "session_id" else column
