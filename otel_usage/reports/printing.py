"""A report asked for on a command line, ours or that of a framework: what was typed, checked and then printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TextIO

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import REPORTS, run_report
from otel_usage.reports.access_log import REPORT as ACCESS_LOG
from otel_usage.reports.access_log import write_log
from otel_usage.reports.asking import notes, takes
from otel_usage.reports.connection import settings_in_force
from otel_usage.reports.model import (
    BUCKETS,
    DEFAULT_BUCKET,
    DEFAULT_LIMIT,
    Bots,
    ReportParameters,
)
from otel_usage.reports.output import FORMATS, printable, write_result
from otel_usage.reports.period import is_part_of_day, parse_period

DEFAULT_SINCE = "7d"

_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")
_LOG = "log"
REPORT_FORMATS = (*FORMATS, _LOG)
"""`log` prints lines of Apache's combined log, and is for the report `access_log` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What somebody typed. Empty texts stand for what was not."""

    name: str
    since: str = DEFAULT_SINCE
    until: str | None = None
    service: str = ""
    funnel: str = ""
    object_type: str = ""
    stage: str = ""
    trace: str = ""
    bots: Bots = "with"
    bucket: str = DEFAULT_BUCKET
    limit: int = DEFAULT_LIMIT
    output_format: str = "table"

    def check(self) -> ReportParameters:
        """Return the parameters of the report.

        Raises:
            ValueError: there is no such report, it does not take an option, or the trace or the period is none.
        """
        if self.name not in REPORTS:
            asked = (
                f"Unknown report {self.name!r}, must be one of: " if self.name else "Which report? One of: "
            )
            raise ValueError(asked + ", ".join(REPORTS))
        self._check_options()
        if self.output_format == _LOG and self.name != ACCESS_LOG:
            raise ValueError(
                f"The format {_LOG!r} is for the report {ACCESS_LOG!r} alone, not for {self.name!r}"
            )
        if self.trace and not _TRACE_ID.fullmatch(self.trace):
            raise ValueError(
                f"--trace is {self.trace[:100]!a}, expected 32 hex digits; in a traceparent they are the second part"
            )
        start, end = parse_period(self.since, self.until)
        parameters = ReportParameters(
            start,
            end,
            service=self.service,
            limit=self.limit,
            funnel=self.funnel,
            object_type=self.object_type,
            stage=self.stage,
            trace_id=self.trace.lower(),
            bots=self.bots,
            bucket_seconds=BUCKETS[self.bucket],
        )
        return replace(parameters, open_since=_open_since()) if takes(self.name, "open_since") else parameters

    def _check_options(self) -> None:
        for option, parameter, is_given in (
            ("funnel", "funnel", bool(self.funnel)),
            ("object-type", "object_type", bool(self.object_type)),
            ("stage", "stage", bool(self.stage)),
            ("trace", "trace_id", bool(self.trace)),
            ("bots", "bots", self.bots != "with"),
            ("bucket", "bucket_seconds", self.bucket != DEFAULT_BUCKET),
        ):
            if is_given and not takes(self.name, parameter):
                ours = [known for known in REPORTS if takes(known, parameter)]
                only = "only this one does" if len(ours) == 1 else "only these do"
                raise ValueError(f"The report {self.name!r} takes no --{option}; {only}: {', '.join(ours)}")

    def print_to(self, output: TextIO, client: ClickHouse) -> Iterator[str]:
        """Write the rows, and yield a line for each thing that they do not say, fit for a terminal.

        Raises:
            ValueError: see `check`.
            ClickHouseError: ClickHouse could not answer.
        """
        parameters = self.check()
        result = run_report(client, self.name, parameters)
        if self.output_format == _LOG:
            write_log(result, output)
        else:
            write_result(result, self.output_format, output)
        is_part = is_part_of_day(self.since, parameters.since) or is_part_of_day(self.until, parameters.until)
        for note in notes(client, self.name, parameters, result, is_part_of_day=is_part):
            yield printable(note)


def _open_since() -> datetime:
    """Return since when a visit must have been seen to go on still, by the time-out in force where this runs."""
    return datetime.now(timezone.utc) - timedelta(seconds=settings_in_force().visit_timeout_seconds)


def list_reports() -> Iterator[str]:
    """Yield a line for each report."""
    width = max(map(len, REPORTS))
    for known in REPORTS.values():
        yield f"{known.name:{width}}  {known.description}"
