"""What all pages share: who may see them, that they only read, and what they say when ClickHouse does not answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar
from urllib.parse import urlencode

from django import VERSION
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from otel_usage.cures import explain
from otel_usage.django.admin_pages.cells import Cell
from otel_usage.django.admin_pages.filters import DaysForm
from otel_usage.errors import ClickHouseError, OtelUsageError

if TYPE_CHECKING:
    _ModelAdmin = ModelAdmin[Any]
else:
    _ModelAdmin = ModelAdmin

_Place = TypeVar("_Place")

PAGE_SIZE = 50

MAX_SECONDS = 10
QUERY_SETTINGS: Mapping[str, Any] = {"max_execution_time": MAX_SECONDS}
"""A person waits for it, and a worker of the site waits with them."""
_TOO_SLOW = 159

_BREADCRUMBS_ARE_A_LIST = VERSION >= (6, 1)
"""How the admin's own style sheet expects them."""


class Table(NamedTuple):
    """The rows of a page, and the links to the pages beside it."""

    columns: tuple[str, ...]
    rows: list[list[Cell]]
    links: list[tuple[str, str]]
    """Label and URL."""
    empty: str
    """What to say when there are no rows."""
    numbers: frozenset[str] = frozenset()
    """The columns that hold numbers."""


@dataclass(frozen=True, slots=True)
class BadRequest(Exception):
    """The address asks for what cannot be; the text says so to a person."""

    text: str


def places_beside(
    request: HttpRequest, parse: Callable[[str], _Place]
) -> tuple[_Place | None, _Place | None]:
    """Return the places `before` and `after` in the address of a list, of which at most one is there.

    Args:
        request: for the list.
        parse: reads a place, and raises ValueError with what a person can be told.

    Raises:
        BadRequest: one of them is no place, or both are there.
    """
    try:
        before, after = (
            parse(text) if (text := request.GET.get(name, "")) else None for name in ("before", "after")
        )
    except ValueError as error:
        raise BadRequest(str(error)) from None
    if before is not None and after is not None:
        raise BadRequest("The address names both a page before and a page after a place, expected one")
    return before, after


class UsagePage(_ModelAdmin):
    """A page that shows what ClickHouse knows, to staff with the permission to view its model."""

    template: ClassVar[str] = "admin/otel_usage/table.html"
    about: ClassVar[str] = ""
    """What the page shows, in a sentence below its title."""
    filter_form: ClassVar[type[DaysForm]] = DaysForm
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds to what happened."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes here; `otel-usage forget` does."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Return the one page, and those that belong to it; there are none for single objects."""
        return [
            path("", self.admin_site.admin_view(self.changelist_view), name=self.url_name("changelist")),
            *self.further_urls(),
        ]

    def further_urls(self) -> list[URLPattern]:
        """Return what there is beside the page itself."""
        return []

    def url_name(self, what: str) -> str:
        """Return the name of one of our URLs within the admin site."""
        return f"{self.opts.app_label}_{self.opts.model_name}_{what}"

    def url(self, what: str = "changelist", query: Mapping[str, str] | None = None) -> str:
        """Return one of our URLs."""
        address = reverse(f"admin:{self.url_name(what)}", current_app=self.admin_site.name)
        return f"{address}?{urlencode(query)}" if query else address

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Answer with the page: 400 when the filter cannot be used, 503 when ClickHouse does not answer."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = self.filter_form(request.GET, today=utc_today())
        context: dict[str, Any] = {**(extra_context or {}), "form": form}
        status = 200
        if not form.is_valid():
            status = 400
        else:
            try:
                context.update(self.answer(request, form))
            except BadRequest as error:
                status, context["problem"] = 400, error.text
            except OtelUsageError as error:
                status, context["problem"] = 503, cure_of(error)
        return self.render(request, context, status)

    def answer(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        """Ask ClickHouse, and return what the template shows.

        Raises:
            BadRequest: the address asks for what cannot be.
            OtelUsageError: ClickHouse could not answer.
        """
        raise NotImplementedError

    def render(self, request: HttpRequest, context: dict[str, Any], status: int) -> HttpResponse:
        """Return the page."""
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            self.template,
            {
                **self.admin_site.each_context(request),
                "title": str(self.opts.verbose_name_plural).capitalize(),
                "opts": self.opts,
                "breadcrumbs_are_a_list": _BREADCRUMBS_ARE_A_LIST,
                "about": self.about,
                "page_url": self.url(),
                **context,
            },
            status=status,
        )


def cure_of(error: OtelUsageError) -> str:
    """Return what is wrong and what to do."""
    if not isinstance(error, ClickHouseError):
        return str(error)
    if error.code == _TOO_SLOW:
        return f"ClickHouse stopped after {MAX_SECONDS} seconds. Choose fewer days, or one user or object"
    return explain(error)


def utc_today() -> Any:
    """Return the day on which it is now in UTC, by which reports count."""
    return datetime.now(timezone.utc).date()
