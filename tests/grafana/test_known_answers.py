"""Panels show the numbers of the traffic that was sent: those counted in Python, and those of `otel-usage report`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from otel_usage.cli import cli
from otel_usage.clickhouse import ClickHouse
from tests.grafana.choices import first_choices
from tests.grafana.dashboards import Dashboard, Panel, Query, read_dashboards
from tests.grafana.macros import TimeRange, expand
from tests.grafana.traffic import (
    FIRST_DAY,
    FUNNEL,
    HOSTILE_SERVICE,
    STAGES,
    THING,
    TODAY,
    TRACE,
    TRACE_ID,
    Hit,
    by,
    came_to,
    make_hits,
    visits_begun,
)
from tests.serving import ServeProcess

UNTIL = TODAY + timedelta(days=2)
DAYS_AND_TODAY = TimeRange(FIRST_DAY, UNTIL, timedelta(hours=1))
"""Today is in it for the rejected events, which are stored with the time at which they were set aside, and tomorrow
because that may be after midnight in a run that began before."""
DASHBOARDS = {dashboard.uid: dashboard for dashboard in read_dashboards()}
HITS = make_hits()

Row = dict[str, Any]
Wanted = dict[str, str]

SOME = {"service": "shop", "bots": "without"}
HOSTILE = {"service": HOSTILE_SERVICE, "bots": "with"}
EVERYTHING = {"service": "", "bots": "with"}
CHOICES = [
    pytest.param(EVERYTHING, id="all"),
    pytest.param(SOME, id="shop"),
    pytest.param(HOSTILE, id="hostile"),
]
each_choice = pytest.mark.parametrize("wanted", CHOICES)


def chosen(wanted: Wanted) -> list[Hit]:
    """Return the hits that a choice of service and robots leaves."""
    return [
        hit
        for hit in HITS
        if wanted["service"] in ("", hit.visit.service)
        and not (wanted["bots"] == "without" and hit.visit.is_bot)
    ]


def ask(client: ClickHouse, dashboard: Dashboard, query: Query, wanted: Wanted) -> list[Row]:
    """Return the rows that a panel would get."""
    known = {name: value for name, value in wanted.items() if name in dashboard.variables}
    choices = first_choices(dashboard, client, DAYS_AND_TODAY, **known)
    result = client.query(expand(query.sql, choices, DAYS_AND_TODAY))
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def panel_named(uid: str, title: str, kind: str = "") -> Panel:
    """Return the one panel with a title, of a kind if two have the title."""
    (found,) = (
        panel
        for panel in DASHBOARDS[uid].panels
        if panel.title == title and panel.type == (kind or panel.type) != "row"
    )
    return found


def rows_of(client: ClickHouse, uid: str, title: str, wanted: Wanted, kind: str = "") -> list[Row]:
    (query,) = panel_named(uid, title, kind).queries
    return ask(client, DASHBOARDS[uid], query, wanted)


def number_of(client: ClickHouse, uid: str, title: str, wanted: Wanted) -> Any:
    """Return what a panel with one number shows."""
    (row,) = rows_of(client, uid, title, wanted, "stat")
    (value,) = row.values()
    return value


@each_choice
def test_the_numbers_of_live_traffic_are_those_that_were_sent(filled: ClickHouse, wanted: Wanted) -> None:
    hits = chosen(wanted)
    failed = sum(hit.status >= 500 for hit in hits)
    expected = {
        "Requests": len(hits),
        "Visits begun": visits_begun(hits),
        "Server errors": failed,
        "Share of server errors": failed / len(hits),
        "Client errors": sum(400 <= hit.status < 500 for hit in hits),
        "Bytes sent": sum(hit.size for hit in hits),
    }

    assert {title: number_of(filled, "otel-usage-live", title, wanted) for title in expected} == expected


@each_choice
def test_requests_over_time_are_those_of_each_hour_and_service(filled: ClickHouse, wanted: Wanted) -> None:
    rows = rows_of(filled, "otel-usage-live", "Requests", wanted, "timeseries")

    sent = Counter(
        (hit.at.replace(minute=0, second=0, microsecond=0), hit.visit.service) for hit in chosen(wanted)
    )
    assert {(row["time"], row["service_name"]): row["requests"] for row in rows if row["requests"]} == sent


def first_hits(hits: Sequence[Hit]) -> list[Hit]:
    return [hit for hit in hits if hit.is_new]


def domain_of(hit: Hit) -> str:
    return urlsplit(hit.visit.referrer).hostname or "direct"


def device_of(hit: Hit) -> str:
    return "bot" if hit.visit.is_bot else "mobile" if hit.visit.browser == "Mobile Safari" else "desktop"


def robots(hits: Sequence[Hit]) -> list[Hit]:
    return [hit for hit in hits if hit.visit.is_bot]


def signed_in(hits: Sequence[Hit]) -> list[Hit]:
    return [hit for hit in hits if hit.visit.user]


def with_status(*statuses: int) -> Callable[[Sequence[Hit]], list[Hit]]:
    return lambda hits: [hit for hit in hits if hit.status in statuses]


TABLES = [
    ("acquisition", "Referrers", "name", "visits", first_hits, domain_of),
    ("acquisition", "Countries", "name", "visits", first_hits, lambda hit: hit.visit.country or "unknown"),
    ("acquisition", "Devices", "name", "visits", first_hits, device_of),
    ("acquisition", "Browsers", "name", "visits", first_hits, lambda hit: hit.visit.browser),
    ("acquisition", "Entry pages", "name", "visits", first_hits, lambda hit: hit.path),
    ("acquisition", "Browsers in numbers", "browser", "requests", list, lambda hit: hit.visit.browser),
    ("acquisition", "Browsers in numbers", "browser", "visits", first_hits, lambda hit: hit.visit.browser),
    ("addresses", "Addresses", "client_address", "requests", list, lambda hit: hit.visit.address),
    ("addresses", "Addresses", "client_address", "bot_requests", robots, lambda hit: hit.visit.address),
    (
        "addresses",
        "Addresses that stand out",
        "client_address",
        "not_found",
        with_status(404),
        lambda hit: hit.visit.address,
    ),
    (
        "addresses",
        "Addresses that stand out",
        "client_address",
        "refused",
        with_status(403),
        lambda hit: hit.visit.address,
    ),
    ("content", "Pages", "route", "requests", list, lambda hit: hit.path),
    ("content", "Pages", "route", "errors", with_status(500), lambda hit: hit.path),
    ("live", "Requests", "service_name", "requests", list, lambda hit: hit.visit.service),
    (
        "pipeline",
        "Set aside by reason",
        "reason",
        "events",
        lambda _: with_status(403)(HITS),
        lambda _: "unknown_counter",
    ),
    ("reliability", "Failures by route", "route", "failures", with_status(500), lambda hit: hit.path),
    (
        "reliability",
        "Server errors",
        "service_name",
        "errors",
        with_status(500),
        lambda hit: hit.visit.service,
    ),
    (
        "visits",
        "Visits by day and service",
        "service_name",
        "visits",
        first_hits,
        lambda hit: hit.visit.service,
    ),
    ("visits", "Users", "user_id", "requests", signed_in, lambda hit: hit.visit.user),
]
"""Dashboard, panel, the columns of a key and of its number; which hits count, and for what key."""


@pytest.mark.parametrize(("board", "title", "key", "number", "of", "key_of_hit"), TABLES)
@each_choice
def test_a_table_counts_what_was_sent(
    filled: ClickHouse,
    board: str,
    title: str,
    key: str,
    number: str,
    of: Callable[[Sequence[Hit]], Sequence[Hit]],
    key_of_hit: Callable[[Hit], str],
    wanted: Wanted,
) -> None:
    kind = "timeseries" if title == "Requests" else ""
    shown: Counter[str] = Counter()
    for row in rows_of(filled, f"otel-usage-{board}", title, wanted, kind):
        shown[row[key]] += row[number]

    assert +shown == by(key_of_hit, of(chosen(wanted)))


def in_service(wanted: Wanted) -> list[Hit]:
    """Return the hits that a choice leaves where the dashboard has no choice of robots."""
    return chosen({**wanted, "bots": "with"})


@each_choice
def test_the_numbers_of_the_funnel_are_the_visits_that_came_so_far(
    filled: ClickHouse, wanted: Wanted
) -> None:
    entered, addressed, paid = came_to(in_service(wanted))
    uid = "otel-usage-funnels"
    stages = rows_of(filled, uid, "Stages", wanted)
    lost = Counter(
        row["stage"] for row in rows_of(filled, uid, "Visits that were lost after a stage", wanted)
    )

    assert [number_of(filled, uid, title, wanted) for title in ("Entered", "Converted")] == [entered, paid]
    assert number_of(filled, uid, "Conversion", wanted) == pytest.approx(paid / entered)
    assert [(row["stage"], row["visits"]) for row in stages] == list(
        zip(STAGES, (entered, addressed, paid), strict=True)
    )
    assert lost == +Counter({"basket": entered - addressed, "address": addressed - paid})


@each_choice
def test_the_numbers_of_robots_are_those_that_were_sent(filled: ClickHouse, wanted: Wanted) -> None:
    hits = in_service(wanted)
    of_robots = len(robots(hits))

    assert number_of(filled, "otel-usage-bots", "Requests of robots", wanted) == of_robots
    assert number_of(filled, "otel-usage-bots", "Share of all requests", wanted) == pytest.approx(
        of_robots / len(hits)
    )


@each_choice
def test_the_pipeline_accounts_for_every_event(filled: ClickHouse, wanted: Wanted) -> None:
    hits = in_service(wanted)
    events = len(hits) + sum(len(hit.stages) for hit in hits) + 3 * sum(hit.path == THING for hit in hits)
    expected = {"Events stored": events, "Duplicates": 0, "Set aside": len(with_status(403)(HITS))}

    assert {title: number_of(filled, "otel-usage-pipeline", title, wanted) for title in expected} == expected


@each_choice
def test_the_numbers_of_visits_are_those_that_began(filled: ClickHouse, wanted: Wanted) -> None:
    hits = chosen(wanted)
    visits = visits_begun(hits)

    assert number_of(filled, "otel-usage-visits", "Visits", wanted) == visits
    assert number_of(filled, "otel-usage-visits", "Requests a visit", wanted) == pytest.approx(
        len(hits) / visits
    )


def test_a_trace_shows_its_spans_with_the_slow_one(filled: ClickHouse) -> None:
    wanted = {"trace_id": TRACE_ID}

    spans = rows_of(filled, "otel-usage-trace", "Spans of the trace", wanted)
    slowest = rows_of(filled, "otel-usage-trace", "Slowest spans", wanted)

    assert [
        (row["spanID"], row["parentSpanID"], row["operationName"], row["duration"]) for row in spans
    ] == list(TRACE)
    assert slowest[1]["span_name"] == "SELECT things"


def test_a_lost_visit_leads_to_the_events_of_its_last_request(filled: ClickHouse) -> None:
    lost = rows_of(filled, "otel-usage-funnels", "Visits that were lost after a stage", EVERYTHING)[0]

    events = rows_of(filled, "otel-usage-trace", "Usage events of the trace", {"trace_id": lost["trace_id"]})

    assert [row["path"] for row in events if row["event_name"] == "request"] == [lost["last_path"]]


# Two ways to ask give one number.

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_REPORT = re.compile(r"/\* otel_usage report (\w+) \*/")


def report_rows(client: ClickHouse, serve: ServeProcess, name: str, wanted: Wanted) -> list[Row]:
    """Return what `otel-usage report NAME --format json` prints for the same range and choice."""
    words = [
        "report",
        name,
        "--dsn",
        serve.dsn_of(client.dsn.database),
        "--format",
        "json",
        "--limit",
        "100000",
    ]
    words += ["--since", FIRST_DAY.isoformat(), "--until", UNTIL.isoformat()]
    words += ["--bots", wanted["bots"]] if "bots" in wanted else []
    words += ["--service", wanted["service"]] if wanted["service"] else []
    words += ["--funnel", FUNNEL] if "funnel" in wanted else []
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    found: list[Row] = json.loads(done.stdout)
    return found


def plain_panels() -> Iterator[Any]:
    """Yield the questions of tables and curves that ask one report, with the dashboard."""
    for dashboard in DASHBOARDS.values():
        for panel in dashboard.panels:
            for query in panel.queries:
                head, tail = query.sql.split("\n(", 1)[0], query.sql.rsplit("\n)", 1)[1]
                is_plain = " AS " not in head and not re.search("WHERE|GROUP BY|LIMIT", tail)
                if is_plain and len(set(_REPORT.findall(query.sql))) == 1:
                    place = f"{dashboard.path.stem} {query.place}"
                    yield pytest.param(dashboard, query, id=place)


def comparable(rows: Sequence[Row], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return rows as texts in one order."""
    return sorted(tuple(written(row[name]) for name in names) for row in rows)


def written(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()[:19]
    if isinstance(value, str) and _TIME.match(value):
        return value[:19]
    return f"{value:.9g}" if isinstance(value, int | float) else str(value)


@pytest.mark.parametrize(("dashboard", "query"), list(plain_panels()))
@pytest.mark.parametrize("wanted", CHOICES[1:])
def test_a_panel_shows_what_the_report_prints(
    filled: ClickHouse, serve: ServeProcess, dashboard: Dashboard, query: Query, wanted: Wanted
) -> None:
    name = _REPORT.findall(query.sql)[0]
    in_force = {key: value for key, value in wanted.items() if f"${{{key}:" in query.sql}
    options = {"service": "", **in_force, **({"funnel": FUNNEL} if "${funnel:" in query.sql else {})}
    shown = ask(filled, dashboard, query, {**wanted, "funnel": FUNNEL})
    printed = report_rows(filled, serve, name, options)

    names = [column for column in (shown[0] if shown else ()) if column in (printed[0] if printed else ())]
    assert bool(shown) == bool(printed)
    assert comparable(shown, names)
    assert comparable(shown, names) == comparable(printed, names)
