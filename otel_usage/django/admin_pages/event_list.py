"""What the pages that list single events share: asking for a page of them, and the cells that all events have."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest

from otel_usage.django.admin_pages.cells import Cell, text_cell
from otel_usage.django.admin_pages.filters import EventFilterForm
from otel_usage.django.admin_pages.links import user_url
from otel_usage.django.admin_pages.page import PAGE_SIZE, QUERY_SETTINGS, Table, UsagePage, places_beside
from otel_usage.reports.connection import usage_client
from otel_usage.reports.event_page import EventFilter, EventPage, ListedEvent, Place, read_event_page

_SHOWN_OF_KEY = 8
"""Characters of a key that is told apart by its beginning."""


class EventListPage(UsagePage):
    """A page of single events, newest first."""

    filter_form = EventFilterForm
    event_names: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]

    def answer(self, request: HttpRequest, form: EventFilterForm) -> dict[str, Any]:
        """Return the table and the way to the pages beside it."""
        page = self.read_page(request, form)
        rows = self.rows(request, form, page.events)
        return {"table": Table(self.columns, rows, self._links(form, page), "No events in these days.")}

    def rows(
        self, request: HttpRequest, form: EventFilterForm, events: list[ListedEvent]
    ) -> list[list[Cell]]:
        """Return the cells of each event, one for each of `columns`."""
        raise NotImplementedError

    def event_filter(self, form: EventFilterForm) -> EventFilter:
        """Return which events the form asks for."""
        chosen = form.cleaned_data
        return EventFilter(
            event_names=(chosen["event"],) if chosen.get("event") else self.event_names,
            since=form.start,
            until=form.end,
            object_type=chosen.get("object_type", ""),
            object_id=chosen.get("object_id", ""),
            user_id=chosen["user"],
            visit_key=chosen["visit"],
            session=chosen.get("session", ""),
            client_address=chosen["address"],
            is_bot=form.IS_BOT[chosen["bots"]],
        )

    def read_page(self, request: HttpRequest, form: EventFilterForm) -> EventPage:
        """Ask ClickHouse for the page that the address names."""
        before, after = places_beside(request, Place.parse)
        return read_event_page(
            usage_client(),
            self.event_filter(form),
            size=PAGE_SIZE,
            before=before,
            after=after,
            settings=QUERY_SETTINGS,
        )

    def narrowed(self, form: EventFilterForm, **values: str) -> str:
        """Return the address of this page with some fields of its filter filled in."""
        return self.url(query={**form.query, **values})

    def user_cell(self, request: HttpRequest, form: EventFilterForm, event: ListedEvent) -> Cell:
        """Return the user, who leads to all that the user did and to the user's own page."""
        return text_cell(
            event.user_id,
            url=self.narrowed(form, user=event.user_id),
            change_url=user_url(request, self.admin_site, event.user_id),
            missing="anonymous",
        )

    def visit_cell(self, form: EventFilterForm, event: ListedEvent) -> Cell:
        """Return the visit, by the beginning of its key."""
        if not event.visit_key:
            return Cell("no visit", kind="none")
        return key_cell(event.visit_key, self.narrowed(form, visit=event.visit_key))

    def address_cell(self, form: EventFilterForm, event: ListedEvent) -> Cell:
        """Return the client's address."""
        return text_cell(
            event.client_address,
            url=self.narrowed(form, address=event.client_address),
            missing="unknown",
        )

    def _links(self, form: EventFilterForm, page: EventPage) -> list[tuple[str, str]]:
        links = []
        if page.newer is not None:
            links += [
                ("Newest", self.url(query=form.query)),
                ("Newer", self.narrowed(form, after=str(page.newer))),
            ]
        if page.older is not None:
            links.append(("Older", self.narrowed(form, before=str(page.older))))
        return links


def key_cell(key: str, url: str = "") -> Cell:
    """Return a cell for a long random key: its beginning, and all of it on demand."""
    return Cell(key[:_SHOWN_OF_KEY] + "…", key, url, kind="key")


def agent_cell(event: ListedEvent) -> Cell:
    """Return the browser and system, or the user agent where it is none that we know; all of it on demand."""
    known = " on ".join(name for name in (event.browser, event.os) if name)
    if event.is_bot:
        known = f"robot: {event.bot_name or known or 'unknown'}"
    if not known:
        return text_cell(event.user_agent, missing="none")
    shown = text_cell(known)
    return Cell(shown.text, text_cell(event.user_agent).full or event.user_agent, kind=shown.kind)


def page_cell(event: ListedEvent) -> Cell:
    """Return the path, with the query on demand."""
    return text_cell(event.path + (f"?{event.query}" if event.query else ""))
