"""The page "User sessions": logins, logouts, failed logins and ended sessions; those that are live can be ended."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.http import url_has_allowed_host_and_scheme

from otel_usage import attributes as names
from otel_usage.django.admin_pages.cells import Cell, text_cell, time_cell
from otel_usage.django.admin_pages.event_list import EventListPage, agent_cell, key_cell
from otel_usage.django.admin_pages.filters import EventFilterForm, SessionFilterForm
from otel_usage.django.logins import BACKEND_PROPERTY, REASON_PROPERTY, SESSION_PROPERTY
from otel_usage.django.models import LiveSession
from otel_usage.django.session_keys import is_session_name
from otel_usage.django.user_sessions import end_session
from otel_usage.errors import SchemaError
from otel_usage.log_throttle import describe_error
from otel_usage.reports.event_page import ListedEvent

_WHAT = {
    names.LOGIN: "login",
    names.LOGIN_FAILED: "failed login",
    names.LOGOUT: "logout",
    names.SESSION_ENDED: "session ended",
}


class SessionsPage(EventListPage):
    """What happened to login sessions, newest first. The permission to change lets a person end those that are live.

    Which ones are live is the one thing that a page reads from the site's own database: ClickHouse knows what
    happened, not what is.
    """

    about = "Logins, failed logins, logouts and ended sessions, newest first."
    filter_form = SessionFilterForm
    event_names = tuple(_WHAT)
    columns = ("Time (UTC)", "What happened", "User", "Session", "Visit", "Address", "Agent", "Details")

    def further_urls(self) -> list[URLPattern]:
        """Return the address that ends a session."""
        return [path("end/", self.admin_site.admin_view(self.end_view), name=self.url_name("end"))]

    def may_end(self, request: HttpRequest) -> bool:
        """Return whether this person may end sessions."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"))  # type: ignore[union-attr]

    def answer(self, request: HttpRequest, form: EventFilterForm) -> dict[str, Any]:
        """Return the table; a session that is live, and that this person may end, has a button in it."""
        return {
            **super().answer(request, form),
            "end_url": self.url("end"),
            "came_from": request.get_full_path(),
        }

    def rows(
        self, request: HttpRequest, form: EventFilterForm, events: list[ListedEvent]
    ) -> list[list[Cell]]:
        """Return the cells of each event."""
        live = _live_sessions(events)
        may_end = self.may_end(request)
        return [
            [
                time_cell(event.time_ns),
                Cell(
                    _WHAT.get(event.event_name, event.event_name),
                    url=self.narrowed(form, event=event.event_name),
                ),
                self.user_cell(request, form, event),
                self._session_cell(form, event, live, may_end),
                self.visit_cell(form, event),
                self.address_cell(form, event),
                agent_cell(event),
                _details_cell(event),
            ]
            for event in events
        ]

    def end_view(self, request: HttpRequest) -> HttpResponse:
        """End the session that a form names, and go back to the page that the form was on."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request) or not self.may_end(request):
            raise PermissionDenied
        name = request.POST.get("session", "")
        if not is_session_name(name):
            messages.error(request, "No session was named, expected the 64 digits of one in the list below.")
        elif end_session(name, reason="admin"):
            messages.success(
                request,
                f"The session {name[:8]}… has ended. Who uses it is logged out with the next request.",
            )
        else:
            messages.error(
                request, f"The session {name[:8]}… could not be ended. The log of the site says why."
            )
        return HttpResponseRedirect(self._way_back(request))

    def _way_back(self, request: HttpRequest) -> str:
        asked = request.POST.get("next", "")
        is_ours = asked.startswith(self.url()) and url_has_allowed_host_and_scheme(
            asked, allowed_hosts=None, require_https=request.is_secure()
        )
        return asked if is_ours else self.url()

    def _session_cell(
        self, form: EventFilterForm, event: ListedEvent, live: frozenset[str], may_end: bool
    ) -> Cell:
        name = event.properties.get(SESSION_PROPERTY, "")
        if not is_session_name(name):
            return text_cell(name, missing="none")
        cell = key_cell(name, self.narrowed(form, session=name))
        if name not in live:
            return cell
        return Cell(cell.text, cell.full, cell.url, kind="live", can_end=may_end)


def _live_sessions(events: list[ListedEvent]) -> frozenset[str]:
    named = {event.properties.get(SESSION_PROPERTY, "") for event in events} - {""}
    if not named:
        return frozenset()
    live = LiveSession._default_manager.filter(name__in=named, ended=None)
    try:
        return frozenset(live.values_list("name", flat=True))
    except DatabaseError as error:
        raise SchemaError(
            f"The table of live sessions cannot be read: {describe_error(error)}. If it is not there yet, run: "
            "manage.py migrate otel_usage"
        ) from error


def _details_cell(event: ListedEvent) -> Cell:
    reason = event.properties.get(REASON_PROPERTY, "")
    return text_cell(reason or event.properties.get(BACKEND_PROPERTY, "").rpartition(".")[2])
