"""`manage.py usage_report`: `otel-usage report`, where a site's other commands are."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any, TextIO, cast

from django.core.management.base import CommandParser

from otel_usage.clickhouse import connect
from otel_usage.django.management.usage_command import UsageCommand, dsn_in_force, wrong_usage
from otel_usage.reports.model import BOTS, BUCKETS, DEFAULT_BUCKET, DEFAULT_LIMIT
from otel_usage.reports.printing import DEFAULT_SINCE, REPORT_FORMATS, ReportRequest, list_reports

_MOST_ROWS = 1_000_000


class Command(UsageCommand):
    """Prints a report."""

    help = "Print a report: browsers, ips, pages, visits, funnel, events and more."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the options in."""
        parser.add_argument("name", nargs="?", default="", help="Which report; --list names all.")
        parser.add_argument("--list", action="store_true", dest="is_list", help="Name all reports.")
        parser.add_argument(
            "--since",
            default=DEFAULT_SINCE,
            metavar="WHEN",
            help=f"15m, 24h, 7d, 4w, or a date or time, UTC; whole days, except in events. Default: {DEFAULT_SINCE}.",
        )
        parser.add_argument("--until", metavar="WHEN", help="The same; default: now.")
        parser.add_argument("--service", type=_name, help="One service only; default: all.")
        parser.add_argument("--funnel", type=_name, help="One funnel only; default: all.")
        parser.add_argument(
            "--object-type", type=_name, help="Objects of one type only, such as shop.Product."
        )
        parser.add_argument("--stage", type=_name, help="Lost after this stage only; default: any.")
        parser.add_argument("--trace", type=_name, help="One trace only; default: all.")
        parser.add_argument("--bots", choices=tuple(BOTS), default="with", help="Whether robots count.")
        parser.add_argument(
            "--bucket", choices=tuple(BUCKETS), default=DEFAULT_BUCKET, help="How finely to count over time."
        )
        parser.add_argument("--limit", type=_row_count, default=DEFAULT_LIMIT, help="Most rows.")
        parser.add_argument("--format", choices=REPORT_FORMATS, default="table", dest="output_format")
        parser.add_argument("--dsn", help="ClickHouse; default: OTEL_USAGE_DSN.")

    def handle(self, *args: Any, is_list: bool, name: str, dsn: str | None, **options: Any) -> None:
        """Run."""
        if is_list:
            for line in list_reports():
                self.stdout.write(line)
            return
        request = ReportRequest(
            name=name,
            since=options["since"],
            until=options["until"],
            service=options["service"] or "",
            funnel=options["funnel"] or "",
            object_type=options["object_type"] or "",
            stage=options["stage"] or "",
            trace=options["trace"] or "",
            bots=options["bots"],
            bucket=options["bucket"],
            limit=options["limit"],
            output_format=options["output_format"],
        )
        try:
            request.check()
        except ValueError as error:
            raise wrong_usage(error) from None
        # Django's wrapper around the stream adds a line end to each write, and a table writes in pieces.
        output = cast(TextIO, getattr(self.stdout, "_out", self.stdout))
        with self.errors_in_one_line(), closing(connect(dsn or dsn_in_force())) as client:
            for note in request.print_to(output, client):
                self.stderr.write(f"usage_report: {note}")


def _name(text: str) -> str:
    # The reports take an empty name for all names.
    if not text:
        raise argparse.ArgumentTypeError("is empty, expected a name")
    return text


def _row_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _MOST_ROWS:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number from 1 to {_MOST_ROWS}")
    return int(text)
