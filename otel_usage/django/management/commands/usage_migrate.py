"""`manage.py usage_migrate`: `otel-usage migrate`, where a site's other commands are."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from otel_usage.django.management.usage_command import UsageCommand, dsn_in_force
from otel_usage.reports.connection import settings_in_force
from otel_usage.schema import migrate_database


class Command(UsageCommand):
    """Creates the tables and views in ClickHouse, or brings them up to date."""

    help = "Create the tables and views in ClickHouse, or bring them up to date. Repeatable."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the options in."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Print the statements instead of running them."
        )
        parser.add_argument("--dsn", help="ClickHouse; default: OTEL_USAGE_DSN.")

    def handle(self, *args: Any, dry_run: bool, dsn: str | None, **options: Any) -> None:
        """Run."""
        with self.errors_in_one_line():
            settings = settings_in_force()
            report = migrate_database(
                dsn or dsn_in_force(),
                retention_days=settings.retention_days,
                summary_retention_days=settings.summary_retention_days,
                dry_run=dry_run,
            )
        for line in report.lines():
            self.stdout.write(line)
