"""The page "Activities": what browsers told the client API, one line a call."""

from __future__ import annotations

from django.http import HttpRequest

from otel_usage import attributes as names
from otel_usage.client_api.client_time import CLIENT_CLOCK, CLIENT_SKEW, CLIENT_TIME
from otel_usage.client_api.page import PAGE_FRAGMENT, PAGE_URL
from otel_usage.django.admin_pages.cells import Cell, text_cell, time_cell
from otel_usage.django.admin_pages.event_list import EventListPage, agent_cell
from otel_usage.django.admin_pages.filters import EventFilterForm
from otel_usage.reports.event_page import ListedEvent


class ActivitiesPage(EventListPage):
    """Calls of the client API, newest first."""

    about = "What browsers reported to the client API, newest first: pages that never reached the server."
    event_names = (names.ACTIVITY,)
    columns = (
        "Received (UTC)",
        "User",
        "Visit",
        "Address",
        "Client's time",
        "Page",
        "Came from",
        "Agent",
    )

    def rows(
        self, request: HttpRequest, form: EventFilterForm, events: list[ListedEvent]
    ) -> list[list[Cell]]:
        """Return the cells of each call."""
        return [
            [
                time_cell(event.time_ns),
                self.user_cell(request, form, event),
                self.visit_cell(form, event),
                self.address_cell(form, event),
                _client_time_cell(event),
                _page_cell(event),
                text_cell(event.referrer),
                agent_cell(event),
            ]
            for event in events
        ]


def _client_time_cell(event: ListedEvent) -> Cell:
    shown = text_cell(_property(event, CLIENT_TIME))
    clock = _property(event, CLIENT_CLOCK)
    if not clock:
        return shown
    skew = _property(event, CLIENT_SKEW)
    return Cell(f"{shown.text} ({text_cell(clock).text})", f"{skew} seconds ahead of the server")


def _page_cell(event: ListedEvent) -> Cell:
    fragment = _property(event, PAGE_FRAGMENT)
    shown = text_cell(event.path + (f"#{fragment}" if fragment else ""))
    return Cell(shown.text, text_cell(_property(event, PAGE_URL)).full or _property(event, PAGE_URL))


def _property(event: ListedEvent, attribute: str) -> str:
    return event.properties.get(attribute.removeprefix(names.PROPERTY_PREFIX), "")
