"""The page "Overview" and its JSON: the numbers of the reports, day by day and week by week, with a 0 for nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from otel_usage.reports import ReportParameters, run_report
from otel_usage.reports.series import read_series
from tests.builders import build_event, build_stage, insert_events
from tests.django.usage_admin import OVERVIEW, SERIES, sign_in

TODAY = date(2026, 3, 31)


@pytest.fixture
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pages take `TODAY` for today: a day that does not end within a test."""
    for module in ("page", "overview"):
        monkeypatch.setattr(f"otel_usage.django.admin_pages.{module}.utc_today", lambda: TODAY)


def month() -> list[Event]:
    """Return visits of people and robots, some of which convert, on most of the 28 days up to `TODAY`."""
    events = []
    for ago in range(35):
        if ago in (2, 3, 16, 30):
            continue  # nothing happened
        day = TODAY - timedelta(days=ago)
        for number in range(1 + ago % 3):
            visit = f"{ago} {number}"
            events += [
                build_event(at=f"{day}T00:00:00", visit=visit, is_new=True, is_bot=number == 2, browser=f"browser {number}"),
                build_event(at=f"{day}T23:59:59.999999999", visit=visit, is_bot=number == 2),
                *(
                    build_stage(stage, f"{day}T12:00:0{stage}", visit=visit, is_bot=number == 2)
                    for stage in range(1, 4 - ago % 3)
                ),
            ]  # fmt: skip
    return events


def report(client: ClickHouse, name: str, first: date, days: int) -> list[dict[str, Any]]:
    since = datetime.combine(first, time(), timezone.utc)
    result = run_report(client, name, ReportParameters(since, since + timedelta(days=days)))
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


@pytest.mark.parametrize(("period", "spans", "days"), [("7d", 7, 1), ("4w", 4, 7)])
def test_each_span_has_the_numbers_of_the_reports_over_its_days(
    usage: ClickHouse, period: str, spans: int, days: int
) -> None:
    insert_events(usage, month())

    series = read_series(usage, period, today=TODAY)

    assert series.starts == [TODAY - timedelta(days=days * (spans - number) - 1) for number in range(spans)]
    for number, first in enumerate(series.starts):
        browsers, visits = report(usage, "browsers", first, days), report(usage, "visits", first, days)
        assert series.requests[number] == sum(row["requests"] for row in browsers)
        assert series.bot_requests[number] == sum(row["bot_requests"] for row in browsers)
        assert series.visits[number] == sum(row["visits"] for row in visits)
        assert series.visits[number] == sum(row["visits"] for row in browsers)
        assert series.bot_visits[number] == sum(row["visits"] for row in visits if row["is_bot"])
        stages = {row["stage_index"]: row["visits"] for row in report(usage, "funnel", first, days)}
        assert series.conversions["buy"].entered[number] == stages.get(1, 0)
        assert series.conversions["buy"].converted[number] == stages.get(3, 0)
    assert min(sum(series.bot_visits), sum(series.conversions["buy"].converted)) > 0


@pytest.mark.parametrize(("period", "days"), [("7d", 7), ("4w", 28)])
def test_the_series_adds_up_to_what_the_public_views_have(usage: ClickHouse, period: str, days: int) -> None:
    insert_events(usage, month())
    where = f"WHERE day > toDate('{TODAY}') - {days} AND day <= toDate('{TODAY}')"

    series = read_series(usage, period, today=TODAY)

    browsers = usage.query(f"SELECT sum(requests), sum(visits) FROM browsers_daily {where}").rows
    conversions = usage.query(f"SELECT sumIf(visits, stage_index = 1), sumIf(visits, stage_index = 3) FROM conversions_daily {where}").rows  # fmt: skip
    assert browsers == [(sum(series.requests), sum(series.visits))]
    buy = series.conversions["buy"]
    assert conversions == [(sum(buy.entered), sum(buy.converted))]


@pytest.mark.usefixtures("_today")
def test_the_command_line_says_the_same(client: Client, asking: ClickHouse) -> None:
    sign_in(client, "view_overview")
    insert_events(asking, month())
    first = TODAY - timedelta(days=6)

    series = client.get(SERIES, {"period": "7d"}).json()

    period = ["--since", first.isoformat(), "--until", (TODAY + timedelta(days=1)).isoformat()]
    rows = {
        name: json.loads(
            subprocess.run(
                [sys.executable, "-m", "otel_usage", "report", name, *period, "--format", "json", "--dsn", asking.dsn.masked],
                capture_output=True,
                check=True,
            ).stdout
        )
        for name in ("browsers", "visits", "funnel")
    }  # fmt: skip
    assert series["starts"][0] == first.isoformat()
    assert sum(series["requests"]) == sum(row["requests"] for row in rows["browsers"])
    by_day = {day: visits for day, visits in zip(series["starts"], series["visits"], strict=True) if visits}
    assert by_day == {
        day: sum(row["visits"] for row in rows["visits"] if row["day"] == day)
        for day in {row["day"] for row in rows["visits"]}
    }
    assert [sum(series["conversions"]["buy"]["entered"]), sum(series["conversions"]["buy"]["converted"])] == [
        row["visits"] for row in rows["funnel"] if row["stage_index"] in (1, 3)
    ]


def test_a_day_without_anything_is_a_zero(usage: ClickHouse) -> None:
    insert_events(usage, month())

    series = read_series(usage, "7d", today=TODAY)

    assert len(series.visits) == len(series.requests) == len(series.conversions["buy"].entered) == 7
    assert series.requests[3:5] == series.visits[3:5] == series.conversions["buy"].entered[3:5] == [0, 0]


@pytest.mark.parametrize(("period", "spans"), [("7d", 7), ("4w", 4)])
def test_without_any_event_there_are_zeros(
    client: Client, asking: ClickHouse, period: str, spans: int
) -> None:
    sign_in(client, "view_overview")

    series = client.get(SERIES, {"period": period}).json()

    nothing = [0] * spans
    assert series.pop("starts")[-1] <= datetime.now(timezone.utc).date().isoformat()
    assert series == {
        "period": period,
        "unit": "day" if period == "7d" else "week",
        "requests": nothing,
        "bot_requests": nothing,
        "visits": nothing,
        "bot_visits": nothing,
        "conversions": {},
    }


def test_a_visit_is_counted_where_it_began(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_event(at="2026-03-29T23:59:59", visit="v", is_new=True),
            build_event(at="2026-03-30T00:00:01", visit="v"),
        ],
    )

    series = read_series(usage, "7d", today=TODAY)

    assert series.visits[-3:] == [1, 0, 0]
    assert series.requests[-3:] == [1, 1, 0]


@pytest.mark.usefixtures("_today")
def test_a_funnel_of_the_file_has_its_last_stage_though_nobody_reached_it(
    client: Client, asking: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client, "view_overview")
    funnels = tmp_path / "funnels.toml"
    funnels.write_text('[funnels.buy]\nstages = [{ name = "in" }, { name = "out" }]\n')
    monkeypatch.setenv("OTEL_USAGE_FUNNELS", str(funnels))
    insert_events(asking, [build_stage(1, f"{TODAY}T00:00:00", visit="v")])

    buy = client.get(SERIES).json()["conversions"]["buy"]

    assert (buy["entered"][-1], buy["converted"][-1]) == (1, 0)


def test_a_broken_funnel_file_does_not_take_the_page_away(
    client: Client, asking: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client, "view_overview")
    monkeypatch.setenv("OTEL_USAGE_FUNNELS", str(tmp_path / "missing.toml"))

    assert client.get(OVERVIEW).status_code == 200


@pytest.mark.parametrize("period", ["", "8d", "7D", "7d\0", "x" * 10_000, "<script>"])
def test_another_period_is_told_with_those_that_there_are(
    client: Client, asking: ClickHouse, period: str
) -> None:
    sign_in(client, "view_overview")

    answer = client.get(SERIES, {"period": period})

    assert answer.status_code == 400
    assert "must be one of: 7d, 4w" in answer.json()["error"]
    page = client.get(OVERVIEW, {"period": period})
    assert page.status_code == (400 if period else 200)
    assert ("There is no such period" in page.content.decode()) is bool(period)


@pytest.mark.usefixtures("_today")
def test_every_number_of_a_chart_is_there_as_text(client: Client, asking: ClickHouse) -> None:
    sign_in(client, "view_overview")
    insert_events(
        asking,
        [
            build_event(at=f"{TODAY}T00:00:00", visit="v", is_new=True),
            build_event(at=f"{TODAY}T00:00:00", is_bot=True),
            build_stage(1, f"{TODAY}T00:00:00", visit="v"),
        ],
    )

    page = client.get(OVERVIEW).content.decode()

    assert re.findall(r"<h2>(.*?)</h2>", page)[-3:] == ["Visits by day", "Requests by day", "Conversions of buy by day"]  # fmt: skip
    assert re.findall(rf'<th scope="row">{TODAY}</th><td[^>]*>(.*?)</td><td[^>]*>(.*?)</td>', page) == [("1", "1"), ("2", "1"), ("1", "1")]  # fmt: skip
    assert page.count('role="img"') == 3
    for reference in re.findall(r'aria-(?:labelledby|describedby)="(chart[^"]*)"', page):
        assert f'id="{reference}"' in page
    assert "All: 2. Without robots: 1." in page


@pytest.mark.usefixtures("_today")
def test_the_last_week_of_a_chart_ends_today(client: Client, asking: ClickHouse) -> None:
    sign_in(client, "view_overview")

    page = client.get(OVERVIEW, {"period": "4w"}).content.decode()

    assert f"From {TODAY - timedelta(days=27)} to {TODAY}. All: 0." in page
