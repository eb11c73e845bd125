"""The commands `otel-usage import …`: old data as events."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

import click

from otel_usage.cli_options import dsn_in_force, dsn_option, not_empty
from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.reports.output import printable
from otel_usage.reports.period import parse_moment
from otel_usage.settings import Settings

if TYPE_CHECKING:
    from otel_usage.importers.chunk import Chunk, Tally

_LONG_SECONDS = 300
"""How long ClickHouse may take for one statement."""
_PROGRESS_SECONDS = 5.0

LOG_FORMATS = ("vhost-combined", "combined", "common", "nginx-json", "caddy-json")

service_option = click.option(
    "--service",
    callback=not_empty,
    help="Service of the events; default: what the app would have, OTEL_SERVICE_NAME.",
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Count what is new, and store nothing.")


@click.group("import")
def import_group() -> None:
    """Bring old data in, each event once: what is there already is passed over. Repeatable."""


@import_group.command("access-log")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(LOG_FORMATS),
    help="Format; default: found out for each file.",
)
@click.option("--since", metavar="WHEN", help="Only requests from then on: 7d, 4w, or a date or time, UTC.")
@click.option("--until", metavar="WHEN", help="Only requests before then.")
@service_option
@dry_run_option
@dsn_option
def access_log(
    files: tuple[str, ...],
    format_name: str | None,
    since: str | None,
    until: str | None,
    service: str,
    dry_run: bool,
    dsn: str | None,
) -> int:
    """Import access logs, plain or gzip: each line is a request. The file - is standard input."""
    from otel_usage.importers.access_log import AccessLog, LogOptions
    from otel_usage.importers.chunk import Tally

    options = LogOptions(
        Settings.load(), service or _service_of_the_app(), format_name or "", *_period(since, until)
    )
    with closing(_connect(dsn)) as client:
        logs = [AccessLog(name, options) for name in files]
        _run(client, [(log.chunks(), Tally(log.label, "lines")) for log in logs], dry_run=dry_run)
    return 0


def _period(since: str | None, until: str | None) -> tuple[int, int]:
    """Return the nanoseconds of a period, all of time by default."""
    from otel_usage.importers.logged_request import EARLIEST_NS, LATEST_NS

    try:
        start = _nanoseconds(parse_moment(since)) if since else EARLIEST_NS
        end = _nanoseconds(parse_moment(until)) if until else LATEST_NS
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if start >= end:
        raise click.UsageError(f"The period is empty: --since {since} does not lie before --until {until}")
    return start, end


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 10**6) * 1000


def _service_of_the_app() -> str:
    """Return the name that the SDK gives the service of an app with this environment."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    return str(Resource.create().attributes[SERVICE_NAME])


def _connect(dsn: str | None) -> ClickHouse:
    return connect(dsn_in_force(dsn), receive_timeout_seconds=_LONG_SECONDS)


def _run(
    client: ClickHouse,
    sources: Iterable[tuple[Iterable[Chunk], Tally]],
    *,
    dry_run: bool,
    at_any_time: bool = False,
) -> None:
    """Import one source after the other, and print what became of each."""
    from otel_usage.importers.run import Import
    from otel_usage.importers.store import EventStore
    from otel_usage.schema.retention import retention_days_in_force

    store = EventStore(client, at_any_time=at_any_time)
    running = Import(
        store,
        retention_days=retention_days_in_force(client),
        is_dry_run=dry_run,
        on_progress=_Progress() if sys.stderr.isatty() else None,
    )
    for chunks, tally in sources:
        try:
            running.run(chunks, tally)
        finally:
            # Also of what was done before it failed.
            for line in tally.lines(is_dry_run=dry_run):
                click.echo(printable(line))
    if not dry_run:
        for note in store.settle():
            click.echo(f"otel-usage: {printable(note)}", err=True)


class _Progress:
    """Says now and then how far an import is."""

    def __init__(self) -> None:
        self._started = self._said = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._said >= _PROGRESS_SECONDS:
            self._said = now
            click.echo(f"{printable(tally.name)}: {tally.read:,} {tally.noun} so far", err=True)
