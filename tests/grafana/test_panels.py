"""Every question of every dashboard is put to ClickHouse, with many choices and ranges, and its panel finds what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema import migrate
from tests.databases import new_database
from tests.grafana.choices import first_choices
from tests.grafana.dashboards import (
    DATA_SOURCE_TYPE,
    DATA_SOURCE_UID,
    Dashboard,
    Panel,
    linked_dashboards,
    read_dashboards,
)
from tests.grafana.macros import TimeRange, expand
from tests.grafana.panel_answers import annotation_faults, faults, unnamed
from tests.grafana.traffic import FIRST_DAY, FUNNEL, HOSTILE_SERVICE, TODAY
from tests.grafana.variables import Choice, glob, interpolate
from tests.serving import ServeProcess

DASHBOARDS = read_dashboards()
RANGES = {
    "15 minutes": TimeRange(
        FIRST_DAY + timedelta(hours=9), FIRST_DAY + timedelta(hours=9, minutes=15), timedelta(seconds=5)
    ),
    "7 days": TimeRange(TODAY - timedelta(days=7), TODAY + timedelta(hours=1), timedelta(minutes=30)),
    "over midnight": TimeRange(
        TODAY - timedelta(hours=30), TODAY - timedelta(hours=18), timedelta(minutes=10)
    ),
    "no time at all": TimeRange(FIRST_DAY, FIRST_DAY, timedelta(milliseconds=1)),
}
TWO_DAYS = TimeRange(FIRST_DAY, TODAY, timedelta(hours=1))
READ_ONLY = {"readonly": 1}
OF_A_SERVICE = [dashboard for dashboard in DASHBOARDS if "service" in dashboard.variables]
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.path.stem)


@pytest.fixture(scope="module")
def empty(serve: ServeProcess) -> Iterator[ClickHouse]:
    """A database with the schema and nothing else."""
    with new_database(serve) as client:
        migrate(client)
        yield client


def ask_all(dashboard: Dashboard, client: ClickHouse, choices: dict[str, Choice], of: TimeRange) -> list[str]:
    """Return what is wrong with the answers to all questions of a dashboard."""
    found = []
    for panel in dashboard.panels:
        for query in panel.queries:
            result = client.query(expand(query.sql, choices, of), settings=READ_ONLY)
            wrong = faults(panel, query.format, result) + unnamed(panel, query.format, result)
            found += [f"{query.place}: {fault}" for fault in wrong]
    for query in dashboard.queries:
        if query.place.startswith("annotation "):
            result = client.query(expand(query.sql, choices, of), settings=READ_ONLY)
            found += [f"{query.place}: {fault}" for fault in annotation_faults(result)]
    return found


def test_there_are_dashboards() -> None:
    assert len(DASHBOARDS) >= 9


@each_dashboard
@pytest.mark.parametrize("span", RANGES)
def test_all_panels_answer_for_any_range(filled: ClickHouse, dashboard: Dashboard, span: str) -> None:
    choices = first_choices(dashboard, filled, RANGES[span])

    assert ask_all(dashboard, filled, choices, RANGES[span]) == []


@each_dashboard
@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(
            {"service": "shop", "bots": "with", "funnel": FUNNEL, "stage": "basket"}, id="one service"
        ),
        pytest.param({"service": HOSTILE_SERVICE, "bots": "only"}, id="a service with a hostile name"),
        pytest.param({"service": "nobody", "funnel": "none"}, id="names that do not exist"),
    ],
)
def test_all_panels_answer_for_any_choice(
    filled: ClickHouse, dashboard: Dashboard, wanted: dict[str, str]
) -> None:
    wanted = {name: value for name, value in wanted.items() if name in dashboard.variables}

    assert ask_all(dashboard, filled, first_choices(dashboard, filled, TWO_DAYS, **wanted), TWO_DAYS) == []


@each_dashboard
def test_all_panels_answer_on_an_empty_database(empty: ClickHouse, dashboard: Dashboard) -> None:
    assert ask_all(dashboard, empty, first_choices(dashboard, empty, TWO_DAYS), TWO_DAYS) == []


@pytest.mark.parametrize("dashboard", OF_A_SERVICE, ids=lambda dashboard: dashboard.path.stem)
@pytest.mark.parametrize("value", ["\\' OR 1=1 -- ", "' OR 1=1 -- "])
def test_no_service_in_a_link_leaves_its_text(filled: ClickHouse, dashboard: Dashboard, value: str) -> None:
    choices = first_choices(dashboard, filled, TWO_DAYS, service=value)
    asked = [query for panel in dashboard.panels for query in panel.queries if "${service" in query.sql]

    found = [query.place for query in asked if numbers_in(filled, expand(query.sql, choices, TWO_DAYS))]

    assert asked
    assert found == []


def numbers_in(client: ClickHouse, sql: str) -> float:
    """Return the sum of all numbers of an answer."""
    rows = client.query(sql).rows
    return sum(abs(cell) for row in rows for cell in row if isinstance(cell, int | float))


@each_dashboard
def test_every_panel_asks_the_provisioned_data_source(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        for target in panel.content.get("targets", ()):
            asked = target.get("datasource") or panel.content["datasource"]
            assert asked in (
                {"type": DATA_SOURCE_TYPE, "uid": DATA_SOURCE_UID},
                {"type": "datasource", "uid": "-- Dashboard --"},
            )


@each_dashboard
def test_links_lead_to_dashboards_and_variables_that_exist(dashboard: Dashboard) -> None:
    known = {other.uid: set(other.variables) for other in DASHBOARDS}

    for uid, variables in linked_dashboards(dashboard.content):
        assert set(variables) <= known[uid], f"a link to {uid} sets {variables}"


@each_dashboard
def test_titles_name_variables_that_exist(dashboard: Dashboard) -> None:
    choices = {name: Choice("x") for name in dashboard.variables}

    for panel in dashboard.panels:
        interpolate(panel.title, choices, default=glob)


@each_dashboard
def test_numbers_of_panels_are_unique_and_panels_do_not_overlap(dashboard: Dashboard) -> None:
    ids = [panel.id for panel in dashboard.panels]
    squares = [square for panel in dashboard.content["panels"] for square in covered(Panel(panel))]

    assert len(set(ids)) == len(ids)
    assert len(set(squares)) == len(squares)


def covered(panel: Panel) -> list[tuple[int, int]]:
    """Return the squares of the grid, 24 wide, that a panel covers."""
    place = panel.content["gridPos"]
    assert place["x"] + place["w"] <= 24
    rows, columns = range(place["y"], place["y"] + place["h"]), range(place["x"], place["x"] + place["w"])
    return [(row, column) for row in rows for column in columns]


def test_uids_and_titles_of_dashboards_are_unique() -> None:
    for key in ("uid", "title"):
        assert len({dashboard.content[key] for dashboard in DASHBOARDS}) == len(DASHBOARDS)
