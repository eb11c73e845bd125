"""The command `otel-usage copy`: one database into another one."""

from __future__ import annotations

import sys
import time

import click

from otel_usage.cli_options import not_empty
from otel_usage.reports.model import ReportResult
from otel_usage.reports.output import printable, write_result

_PROGRESS_SECONDS = 5.0


@click.command()
@click.option(
    "--from",
    "source",
    required=True,
    callback=not_empty,
    metavar="DSN",
    help="The database to read; nothing changes there.",
)
@click.option(
    "--to",
    "target",
    required=True,
    callback=not_empty,
    metavar="DSN",
    help="The database to copy into, made by otel-usage migrate.",
)
@click.option("--dry-run", is_flag=True, help="Count what is new, and store nothing.")
def copy(source: str, target: str, dry_run: bool) -> int:
    """Copy all events and summaries into another database, each once. Repeatable, and goes on after a kill."""
    from otel_usage.copying import copy_database

    report = copy_database(source, target, is_dry_run=dry_run, say=_Progress())
    done = "new" if dry_run else "copied"
    write_result(
        ReportResult(("table", "in source", done, "already there", "in target"), list(report.tables)),
        "table",
        sys.stdout,
    )
    for note in report.notes:
        click.echo(f"otel-usage: {printable(note)}", err=True)
    for fault in report.faults:
        click.echo(f"otel-usage: NOT EQUAL: {printable(fault)}", err=True)
    if report.compared:
        click.echo(report.compared)
    return 1 if report.faults else 0


class _Progress:
    """Says on stderr how far a copy is: what begins at once, numbers now and then."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, what: str) -> None:
        now = time.monotonic()
        is_number = what[:1].isdigit()
        if is_number and now - self._said < _PROGRESS_SECONDS:
            return
        self._said = now
        click.echo(f"otel-usage: {what}", err=True)
