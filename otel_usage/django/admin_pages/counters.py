"""The page "Counters": sums by object and counter, and the days of one counter of one object."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest

from otel_usage.django.admin_pages.cells import number_cell, text_cell
from otel_usage.django.admin_pages.chart import Chart, bar_chart
from otel_usage.django.admin_pages.filters import CounterFilterForm
from otel_usage.django.admin_pages.links import change_url
from otel_usage.django.admin_pages.page import PAGE_SIZE, QUERY_SETTINGS, Table, UsagePage, places_beside
from otel_usage.django.counters import counter_series
from otel_usage.reports.connection import usage_client
from otel_usage.reports.counter_page import CounterFilter, CounterPage, CounterPlace, read_counter_page

_LONGEST_CHART = 92
"""Days. A longer chart has bars that nobody can tell apart; its last days are shown."""


class CountersPage(UsagePage):
    """Sums of all counters, in the order of their names."""

    template = "admin/otel_usage/counters.html"
    about = "What each counter of each object came to in these days, in the order of their names."
    filter_form = CounterFilterForm
    columns = ("Type", "Object id", "Counter", "Sum", "Without robots", "Robots")

    def answer(self, request: HttpRequest, form: CounterFilterForm) -> dict[str, Any]:
        """Return the table, and the chart when the filter names one counter of one object."""
        page = self._read_page(request, form)
        rows = [
            [
                text_cell(
                    counted.object_type,
                    url=self.url(query={**form.query, "object_type": counted.object_type}),
                ),
                text_cell(
                    counted.object_id,
                    url=self._of_object(form, counted.place),
                    change_url=change_url(request, self.admin_site, counted.object_type, counted.object_id),
                ),
                text_cell(
                    counted.counter,
                    url=self.url(
                        query={
                            **form.query,
                            "object_type": counted.object_type,
                            "object_id": counted.object_id,
                            "counter": counted.counter,
                        }
                    ),
                ),
                number_cell(counted.value),
                number_cell(counted.value - counted.bot_value),
                number_cell(counted.bot_value),
            ]
            for counted in page.sums
        ]
        empty = "Nothing was counted in these days."
        table = Table(self.columns, rows, self._links(form, page), empty, frozenset(self.columns[3:]))
        return {"table": table, "chart": self._chart(form)}

    def _read_page(self, request: HttpRequest, form: CounterFilterForm) -> CounterPage:
        before, after = places_beside(request, CounterPlace.parse)
        chosen = form.cleaned_data
        wanted = CounterFilter(
            first_day=form.first_day,
            end_day=form.end_day,
            object_type=chosen["object_type"],
            object_id=chosen["object_id"],
            counter=chosen["counter"],
        )
        return read_counter_page(
            usage_client(), wanted, size=PAGE_SIZE, before=before, after=after, settings=QUERY_SETTINGS
        )

    def _of_object(self, form: CounterFilterForm, place: CounterPlace) -> str:
        return self.url(query={**form.query, "object_type": place.object_type, "object_id": place.object_id})

    def _links(self, form: CounterFilterForm, page: CounterPage) -> list[tuple[str, str]]:
        links = []
        if page.previous is not None:
            links += [
                ("First", self.url(query=form.query)),
                ("Previous", self.url(query={**form.query, "before": str(page.previous)})),
            ]
        if page.next is not None:
            links.append(("Next", self.url(query={**form.query, "after": str(page.next)})))
        return links

    def _chart(self, form: CounterFilterForm) -> Chart | None:
        chosen = form.cleaned_data
        if not (chosen["object_type"] and chosen["object_id"] and chosen["counter"]):
            return None
        counted = (chosen["object_type"], chosen["object_id"])
        end_day = min(form.end_day, form.today + timedelta(days=1))
        first_day = max(form.first_day, end_day - timedelta(days=_LONGEST_CHART))
        if first_day >= end_day:
            return None
        everybody = counter_series(counted, chosen["counter"], first_day, end_day)
        people = counter_series(counted, chosen["counter"], first_day, end_day, bots=False)
        return bar_chart(
            f"{text_cell(chosen['counter']).text} by day",
            [day.day.isoformat() for day in everybody],
            [day.value for day in everybody],
            [day.value for day in people],
            labels=("All", "Without robots"),
        )
