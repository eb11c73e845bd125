"""The page "Objects viewed": who viewed which object when."""

from __future__ import annotations

from django.http import HttpRequest

from otel_usage import attributes as names
from otel_usage.django.admin_pages.cells import Cell, text_cell, time_cell
from otel_usage.django.admin_pages.event_list import EventListPage, agent_cell, page_cell
from otel_usage.django.admin_pages.filters import EventFilterForm, ObjectFilterForm
from otel_usage.django.admin_pages.links import change_url
from otel_usage.reports.event_page import ListedEvent


class ObjectsPage(EventListPage):
    """Views of objects, newest first."""

    about = "Every time somebody viewed an object, newest first."
    filter_form = ObjectFilterForm
    event_names = (names.OBJECT_VIEWED,)
    columns = ("Time (UTC)", "Type", "Object id", "User", "Visit", "Address", "Agent", "Page")

    def rows(
        self, request: HttpRequest, form: EventFilterForm, events: list[ListedEvent]
    ) -> list[list[Cell]]:
        """Return the cells of each view."""
        return [
            [
                time_cell(event.time_ns),
                text_cell(event.object_type, url=self.narrowed(form, object_type=event.object_type)),
                text_cell(
                    event.object_id,
                    url=self.narrowed(form, object_type=event.object_type, object_id=event.object_id),
                    change_url=change_url(request, self.admin_site, event.object_type, event.object_id),
                ),
                self.user_cell(request, form, event),
                self.visit_cell(form, event),
                self.address_cell(form, event),
                agent_cell(event),
                page_cell(event),
            ]
            for event in events
        ]
