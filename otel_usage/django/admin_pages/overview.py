"""The page "Overview": requests, visits and conversions of the last days or weeks, and the same as JSON for charts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse, QueryDict
from django.urls import URLPattern, path

from otel_usage.django.admin_pages.cells import text_cell
from otel_usage.django.admin_pages.chart import Chart, bar_chart
from otel_usage.django.admin_pages.page import QUERY_SETTINGS, UsagePage, cure_of, utc_today
from otel_usage.errors import FunnelError, OtelUsageError
from otel_usage.reports.connection import settings_in_force, usage_client
from otel_usage.reports.funnels import load_funnels
from otel_usage.reports.series import PERIODS, UsageSeries, read_series

_PERIOD_LABELS = {"7d": "Last 7 days", "4w": "Last 4 weeks"}
_DEFAULT_PERIOD = "7d"


class PeriodForm(forms.Form):
    """Which period."""

    period = forms.ChoiceField(choices=list(_PERIOD_LABELS.items()))

    def __init__(self, query: QueryDict, *, today: Any) -> None:
        super().__init__({"period": query.get("period") or _DEFAULT_PERIOD})
        self.today = today


class OverviewPage(UsagePage):
    """Charts of one period."""

    template = "admin/otel_usage/overview.html"
    about = "How much the site was used. Days are those of UTC, and the last one is not over yet."
    filter_form = PeriodForm  # type: ignore[assignment]  # days of its own are not to be chosen

    def further_urls(self) -> list[URLPattern]:
        """Return the address of the numbers."""
        return [path("series/", self.admin_site.admin_view(self.series_view), name=self.url_name("series"))]

    def answer(self, request: HttpRequest, form: PeriodForm) -> dict[str, Any]:
        """Return the charts."""
        period = form.cleaned_data["period"]
        series = _read(period, form.today)
        return {
            "charts": list(_charts(series)),
            "periods": [
                (label, "" if name == period else self.url(query={"period": name}))
                for name, label in _PERIOD_LABELS.items()
            ],
            "series_url": self.url("series", {"period": period}),
        }

    def series_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the numbers of `?period=7d` or `?period=4w` as JSON.

        Errors are `{"error": text}`: 400 for another period, 503 when ClickHouse does not answer.
        """
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        period = request.GET.get("period", _DEFAULT_PERIOD)
        if period not in PERIODS:
            known = ", ".join(PERIODS)
            return JsonResponse(
                {"error": f"Unknown period {period[:50]!r}, must be one of: {known}"}, status=400
            )
        try:
            return JsonResponse(_read(period, utc_today()).to_json())
        except OtelUsageError as error:
            return JsonResponse({"error": cure_of(error)}, status=503)


def _read(period: str, today: Any) -> UsageSeries:
    return read_series(
        usage_client(), period, today=today, last_stages=_last_stages(), settings=QUERY_SETTINGS
    )


def _last_stages() -> dict[str, int]:
    path = settings_in_force().funnels
    try:
        return {funnel.name: funnel.stages[-1].index for funnel in load_funnels(path)} if path else {}
    except FunnelError:
        return {}  # the app said so in its log when it started, and went on without funnels


def _charts(series: UsageSeries) -> list[Chart]:
    starts = [start.isoformat() for start in series.starts]
    last_day = (series.starts[-1] + timedelta(days=PERIODS[series.period].days - 1)).isoformat()

    def chart(what: str, values: list[int], parts: list[int], *labels: str) -> Chart:
        title = f"{what} by {series.unit}"
        return bar_chart(title, starts, values, parts, labels=(labels[0], labels[1]), last_day=last_day)

    def counted(what: str, values: list[int], bots: list[int]) -> Chart:
        people = [value - bot for value, bot in zip(values, bots, strict=True)]
        return chart(what, values, people, "All", "Without robots")

    return [
        counted("Visits", series.visits, series.bot_visits),
        counted("Requests", series.requests, series.bot_requests),
        *(
            chart(
                f"Conversions of {text_cell(funnel).text}",
                counts.entered,
                counts.converted,
                "Entered",
                "Converted",
            )
            for funnel, counts in series.conversions.items()
        ),
    ]
