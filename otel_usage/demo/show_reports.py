"""Prints the reports of the demo."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TextIO, cast

from rich.console import Console

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import REPORTS, ReportParameters, run_report
from otel_usage.reports.output import write_result

_SHOWN = ("browsers", "ips", "pages", "visits", "funnel")
_ROWS = 12


def show_reports(console: Console, clickhouse: ClickHouse) -> None:
    """Print what the shop's visitors did, as `otel-usage report` does; the first rows of each."""
    now = datetime.now(timezone.utc)
    parameters = ReportParameters(now - timedelta(days=1), now + timedelta(minutes=1), limit=_ROWS)
    for name in _SHOWN:
        console.print(f"\n[bold]{name}[/bold]  {REPORTS[name].description}", highlight=False, soft_wrap=True)
        write_result(run_report(clickhouse, name, parameters), "table", cast(TextIO, console.file))
