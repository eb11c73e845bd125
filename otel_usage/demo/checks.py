"""Compares what is stored with what was sent, one line per promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from typing import Any

from otel_usage.clickhouse import ClickHouse
from otel_usage.demo.log_sender import LogReport
from otel_usage.demo.sender import SendReport
from otel_usage.demo.truth import Truth
from otel_usage.demo.visitors import FUNNELS
from otel_usage.reports import ReportParameters, run_report

_ALL_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One promise and whether it holds."""

    name: str
    holds: bool
    detail: str

    def __str__(self) -> str:
        """Return the line that the demo prints."""
        return f"{'ok  ' if self.holds else 'FAIL'}  {self.name}: {self.detail}"


def compare_number(
    name: str, sent: int, stored: int, *, words: tuple[str, str] = ("sent", "stored")
) -> Check:
    """Return the check of one number."""
    return Check(name, sent == stored, f"{words[0]} {sent:,}, {words[1]} {stored:,}")


def compare_counts(name: str, sent: Mapping[Any, int], stored: Mapping[Any, int]) -> Check:
    """Return the check of numbers by key; its detail names the first key that differs. A zero is no key."""
    different = sorted(
        (key for key in sent.keys() | stored.keys() if sent.get(key, 0) != stored.get(key, 0)), key=str
    )
    if not different:
        groups = sum(1 for count in sent.values() if count)
        return Check(name, True, f"{sum(sent.values()):,} in {groups:,} groups, all as sent")
    first = different[0]
    label = " / ".join(map(str, first)) if isinstance(first, tuple) else str(first)
    more = f", and {len(different) - 1} more" if len(different) > 1 else ""
    return Check(
        name,
        False,
        f"{label or '(empty)'}: sent {sent.get(first, 0):,}, stored {stored.get(first, 0):,}{more}",
    )


class Stored:
    """Numbers of the database in the shapes that the checks compare."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def number(self, sql: str) -> int:
        """Return the one number of a query."""
        return int(self._clickhouse.query(sql).rows[0][0])

    def counts(self, sql: str) -> dict[Any, int]:
        """Return the last column by the ones before it, by a tuple of them where there are several."""
        rows = self._clickhouse.query(sql).rows
        return {row[0] if len(row) == 2 else tuple(row[:-1]): int(row[-1]) for row in rows}

    def counts_by_address(self, sql: str) -> dict[str, int]:
        """Return counts by client address, IPv4 in its own form."""
        counts: dict[str, int] = {}
        for text, count in self.counts(sql).items():
            address = ip_address(str(text))
            counts[str(getattr(address, "ipv4_mapped", None) or address)] = count
        return counts

    def report(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a report over the last day."""
        now = datetime.now(timezone.utc)
        period = ReportParameters(now - timedelta(days=1), now + timedelta(minutes=1), limit=_ALL_ROWS)
        result = run_report(self._clickhouse, name, period)
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def check_sending(report: SendReport, planned: int) -> Check:
    """Check that every request was answered as planned."""
    return Check(
        "answers",
        report.sent == planned and not report.failed,
        f"{report.sent:,} of {planned:,} requests answered, {report.failed:,} not as planned",
    )


def check_simulation(stored: Stored, truth: Truth) -> list[Check]:
    """Check everything that the plan knows."""
    return [
        *_check_requests(stored, truth.requests),
        compare_number("all events", truth.events, stored.number("SELECT count() FROM events")),
        *_check_people(stored, truth),
        *_check_addresses(stored, truth.requests_by_address),
        *_check_pages(stored, truth),
        *_check_visits(stored, truth),
        *_check_funnels(stored, truth),
        *_check_reports(stored, truth),
    ]


def check_log(stored: Stored, report: LogReport) -> list[Check]:
    """Check what is known of the requests of an access log."""
    return [
        *_check_requests(stored, report.sent),
        *_check_addresses(stored, report.requests_by_address),
        compare_counts("methods", report.requests_by_method, stored.counts(_requests_by("method"))),
        compare_counts("statuses", report.requests_by_status, stored.counts(_requests_by("status_code"))),
        _check_that_browsers_agree(stored),
    ]


def _requests_by(columns: str) -> str:
    return f"SELECT {columns}, count() FROM events WHERE event_name = 'request' GROUP BY {columns}"  # noqa: S608


def _check_requests(stored: Stored, sent: int) -> list[Check]:
    rows = stored.number("SELECT count() FROM events")
    ids = stored.number("SELECT uniqExact(event_id) FROM events")
    requests = stored.number("SELECT count() FROM events WHERE event_name = 'request'")
    return [
        compare_number("requests", sent, requests),
        compare_number("once each", rows, ids, words=("rows", "different event ids")),
        compare_number("rejected events", 0, stored.number("SELECT count() FROM rejected_events")),
    ]


def _check_people(stored: Stored, truth: Truth) -> list[Check]:
    bots = stored.number("SELECT count() FROM events WHERE event_name = 'request' AND is_bot")
    return [
        compare_counts("browsers", truth.requests_by_browser, stored.counts(_requests_by("browser"))),
        compare_counts(
            "browser, system, device",
            truth.requests_by_agent,
            stored.counts(_requests_by("browser, os, device_type")),
        ),
        compare_counts(
            "browsers_daily, visits",
            truth.visits_by_agent,
            stored.counts(
                "SELECT browser, os, device_type, sum(visits) FROM browsers_daily GROUP BY browser, os, device_type"
            ),
        ),
        _check_that_browsers_agree(stored),
        compare_number("requests of robots", truth.bot_requests, bots),
    ]


def _check_that_browsers_agree(stored: Stored) -> Check:
    events = stored.counts(_requests_by("browser"))
    daily = stored.counts("SELECT browser, sum(requests) FROM browsers_daily GROUP BY browser")
    check = compare_counts("browsers_daily = events", events, daily)
    return Check(check.name, check.holds, check.detail.replace("all as sent", "the same in both"))


def _check_addresses(stored: Stored, sent: Mapping[str, int]) -> list[Check]:
    requests = stored.counts_by_address(_requests_by("client_address"))
    daily = stored.counts_by_address(
        "SELECT client_address, sum(requests) FROM ips_daily GROUP BY client_address"
    )
    return [
        compare_number("addresses", len(sent), len(requests)),
        compare_counts("requests per address", sent, requests),
        compare_counts("ips_daily", sent, daily),
    ]


def _check_pages(stored: Stored, truth: Truth) -> list[Check]:
    views = "SELECT object_id, sum(views) FROM objects_daily WHERE object_type = 'product' GROUP BY object_id"
    pages = "SELECT route, sum(requests) FROM pages_daily GROUP BY route"
    own_events = (
        "SELECT event_name, count() FROM events"
        " WHERE event_name NOT IN ('request', 'object_viewed', 'stage_reached') GROUP BY event_name"
    )
    return [
        compare_counts("statuses", truth.requests_by_status, stored.counts(_requests_by("status_code"))),
        compare_counts("methods", truth.requests_by_method, stored.counts(_requests_by("method"))),
        compare_counts("pages_daily, routes", truth.requests_by_route, stored.counts(pages)),
        compare_counts("product views", truth.product_views, stored.counts(views)),
        compare_counts("events of other kinds", truth.app_events, stored.counts(own_events)),
    ]


def _check_visits(stored: Stored, truth: Truth) -> list[Check]:
    opted_out = "SELECT count() FROM events WHERE event_name = 'request' AND visit_key = ''"
    visitors = "SELECT uniqExact(visitor_id) FROM events WHERE event_name = 'request' AND visitor_id != ''"
    return [
        compare_number("visits", truth.visits, stored.number("SELECT count() FROM visits")),
        compare_number(
            "confirmed visits",
            truth.confirmed_visits,
            stored.number("SELECT countIf(confirmed) FROM visits"),
        ),
        compare_number(
            "visits of robots", truth.bot_visits, stored.number("SELECT countIf(is_bot) FROM visits")
        ),
        compare_number("visitors", truth.visitors, stored.number(visitors)),
        compare_number(
            "requests without a visit (GPC)", truth.requests_without_visit, stored.number(opted_out)
        ),
        compare_counts(
            "visits by campaign",
            truth.visits_by_campaign,
            stored.counts("SELECT campaign_source, count() FROM visits GROUP BY campaign_source"),
        ),
    ]


def _check_funnels(stored: Stored, truth: Truth) -> list[Check]:
    rows = stored.counts("SELECT funnel, stage, sum(visits) FROM conversions_daily GROUP BY funnel, stage")
    checks = []
    for funnel, stages in FUNNELS.items():
        sent = truth.stage_visits[funnel]
        found = [rows.get((funnel, stage), 0) for stage in stages]
        share = f", conversion {found[-1] / found[0]:.1%}" if found[0] else ""
        numbers = f"sent {' > '.join(map(str, sent))}, stored {' > '.join(map(str, found))}{share}"
        checks.append(Check(f"funnel {funnel}", sent == found, numbers))
    reached = stored.counts("SELECT funnel, stage, count() FROM funnel_stages GROUP BY funnel, stage")
    return [*checks, compare_counts("funnel_stages", truth.visits_by_stage, reached)]


def _check_reports(stored: Stored, truth: Truth) -> list[Check]:
    browsers = {row["browser"]: row["requests"] for row in stored.report("browsers")}
    funnels = {(row["funnel"], row["stage"]): row["visits"] for row in stored.report("funnel")}
    planned = {
        (funnel, stage): visits
        for funnel, stages in FUNNELS.items()
        for stage, visits in zip(stages, truth.stage_visits[funnel], strict=True)
    }
    return [
        compare_counts("report browsers", truth.requests_by_browser, browsers),
        compare_counts("report funnel", planned, funnels),
    ]
