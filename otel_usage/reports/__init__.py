"""Reports: named questions with typed rows. The command line, dashboards and panels ask these and no others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports.model import BOTS, Report, ReportParameters, ReportResult

__all__ = ["REPORTS", "Report", "ReportParameters", "ReportResult", "load_sql", "run_report"]

REPORTS = {
    report.name: report
    for report in (
        Report("browsers", "Requests, visits and visitors by browser"),
        Report("ips", "Requests and visits by client address, with the first and last time seen"),
        Report("pages", "Requests, visits, errors and durations by route and path"),
        Report("activity", "Views of pages that only browsers know, by their path in the client"),
        Report("visits", "Visits by day: how many, how many confirmed, how long"),
        Report("objects", "Views, visits and users by object"),
        Report("counters", "Sums of counters by object"),
        Report("funnel", "Visits that reached each stage in order, with the losses and the time between"),
        Report(
            "conversions",
            "Visits that reached each stage in order, by the day on which they entered the funnel",
        ),
        Report(
            "dropped",
            "Visits that were lost after a stage, or may still go on: where they went, and the trace of their last request",
        ),
        Report("traffic", "Requests, visits, errors, durations and bytes over time"),
        Report("acquisition", "Visits by referrer, campaign, country, device and more"),
        Report("users", "Visits and requests of the users who signed in"),
        Report("bots", "Which robots come, and how much they read"),
        Report("abuse", "Addresses that were refused, looked for what is not there, or came in bursts"),
        Report("failures", "Requests that the app failed to answer, by route, with the trace of the latest"),
        Report("accounting", "Events stored over time, how many of them twice, and the last one"),
        Report("rejected", "Events that were set aside, by reason, over time"),
        Report("changes", "Migrations, and versions of services that were new"),
        Report("spans", "The spans that a Collector stored, oldest first"),
        Report("summaries", "Hits and bytes by URL, address, user agent, language, status and more"),
        Report("events", "The latest events, newest first"),
        Report("access_log", "The requests as the fields of an access log, oldest first"),
    )
}


def load_sql(name: str) -> str:
    """Return the SQL of a report. Its head says what comes in and out."""
    return (files(__package__) / "sql" / f"{name}.sql").read_text("utf-8")


def run_report(
    client: ClickHouse, name: str, parameters: ReportParameters, settings: Mapping[str, Any] | None = None
) -> ReportResult:
    """Ask ClickHouse.

    Args:
        client: of the database that is asked.
        name: one of `REPORTS`.
        parameters: the range and the choice.
        settings: further ClickHouse settings, such as a limit of time.

    Raises:
        KeyError: there is no such report; `REPORTS` names all.
        ClickHouseError: ClickHouse could not answer.
    """
    report = REPORTS[name]
    result = client.query(
        load_sql(report.name),
        {
            "since": _utc_text(parameters.since),
            "until": _utc_text(parameters.until),
            "first_day": parameters.first_day.isoformat(),
            "end_day": parameters.end_day.isoformat(),
            "first_day_read": parameters.first_day_read.isoformat(),
            "end_day_read": parameters.end_day_read.isoformat(),
            "open_since": _utc_text(parameters.open_since),
            "service": parameters.service,
            "funnel": parameters.funnel,
            "object_type": parameters.object_type,
            "stage": parameters.stage,
            "trace_id": parameters.trace_id,
            "bots": BOTS[parameters.bots],
            "bucket_seconds": parameters.bucket_seconds,
            # One more, to know whether there are more.
            "limit": parameters.limit + 1,
        },
        {"log_comment": f"otel_usage report {report.name}", **(settings or {})},
    )
    is_cut = len(result.rows) > parameters.limit
    return ReportResult(result.columns, result.rows[: parameters.limit], is_cut)


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
