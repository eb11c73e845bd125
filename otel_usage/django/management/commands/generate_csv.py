"""`manage.py generate_csv`: the counters of models as a file for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, TextIO, cast

from django.core.management.base import CommandError, CommandParser

from otel_usage.clickhouse import connect
from otel_usage.django.management.trackable_models import find_registered_model
from otel_usage.django.management.usage_command import UsageCommand, dsn_in_force, wrong_usage
from otel_usage.django.registry import site
from otel_usage.instrumentation.api import object_type_of
from otel_usage.reports import load_sql
from otel_usage.reports.model import ReportParameters, ReportResult
from otel_usage.reports.output import write_result
from otel_usage.reports.period import parse_period

_FIRST_DAY = "1970-01-01"


class Command(UsageCommand):
    """Writes sums and averages."""

    help = (
        "Write a line for each object and counter of registered models: the sum, and the average over the days on "
        "which it was counted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the options in."""
        parser.add_argument("models", nargs="*", metavar="app.Model", help="Registered models; default: all.")
        parser.add_argument(
            "--aggregate-fields", default="", metavar="A,B", help="These counters only; default: all."
        )
        parser.add_argument("--output", default="-", metavar="FILE", help="Where to; default: stdout.")
        parser.add_argument("--format", choices=("tsv", "csv"), default="tsv", dest="output_format")
        parser.add_argument(
            "--since",
            default=_FIRST_DAY,
            metavar="WHEN",
            help="7d, or a date, UTC; whole days. Default: all.",
        )
        parser.add_argument("--until", metavar="WHEN", help="The same; default: now.")
        parser.add_argument("--no-bots", action="store_true", help="Leave out what robots did.")
        parser.add_argument("--dsn", help="ClickHouse; default: OTEL_USAGE_DSN.")

    def handle(self, *args: Any, models: list[str], output: str, dsn: str | None, **options: Any) -> None:
        """Run."""
        found = [find_registered_model(label) for label in models] or site.models()
        if not found:
            raise CommandError(
                "No model is registered. Call otel_usage.django.site.register() in a module `usage`"
            )
        wanted = [name for name in options["aggregate_fields"].split(",") if name]
        known = {name for model in found for name in site.counters(model)}
        for name in wanted:
            if name not in known:
                listed = ", ".join(sorted(known)) or "none"
                raise CommandError(f"Unknown counter {name!r}, must be one of: {listed}", returncode=2)
        try:
            since, until = parse_period(options["since"], options["until"])
        except ValueError as error:
            raise wrong_usage(error) from None
        period = ReportParameters(since, until)
        with self.errors_in_one_line(), closing(connect(dsn or dsn_in_force())) as client:
            result = client.query(
                load_sql("counters_of_types"),
                {
                    "object_types": [object_type_of(model) for model in found],
                    "counters": wanted,
                    "first_day": period.first_day,
                    "end_day": period.end_day,
                    "bots": int(not options["no_bots"]),
                    "service": "",
                },
                {"log_comment": "otel_usage generate_csv"},
            )
        with self._opened(output) as file:
            write_result(ReportResult(result.columns, result.rows), options["output_format"], file)

    @contextmanager
    def _opened(self, output: str) -> Iterator[TextIO]:
        if output == "-":
            # Django's wrapper around the stream adds a line end to each write.
            yield cast(TextIO, getattr(self.stdout, "_out", self.stdout))
            return
        try:
            with open(output, "w", encoding="utf-8", newline="") as file:
                yield file
        except OSError as error:
            raise CommandError(f"Cannot write {output!r}: {error.strerror}") from None
