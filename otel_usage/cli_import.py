"""The commands `otel-usage import …`: old data as events."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

import click

from otel_usage.cli_options import dsn_in_force, dsn_option, not_empty
from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.errors import OtelUsageError
from otel_usage.reports.output import printable
from otel_usage.reports.period import parse_moment
from otel_usage.settings import Settings

if TYPE_CHECKING:
    from otel_usage.importers.chunk import Chunk, Tally
    from otel_usage.importers.old_database import OldDatabase
    from otel_usage.importers.old_rows import ImportOptions

_LONG_SECONDS = 300
"""How long ClickHouse may take for one statement."""
_PROGRESS_SECONDS = 5.0

LOG_FORMATS = ("vhost-combined", "combined", "common", "nginx-json", "caddy-json")

_NAMELESS_SERVICE = "unknown_service"
"""How the SDK's name begins for an app that has none."""

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

    name = str(Resource.create().attributes[SERVICE_NAME])
    if name.startswith(_NAMELESS_SERVICE):
        click.echo(
            f"otel-usage: the events are of the service {name!r}, because neither --service nor OTEL_SERVICE_NAME says "
            "whose they are; imported again under another name, they are other events",
            err=True,
        )
    return name


def _connect(dsn: str | None) -> ClickHouse:
    return connect(dsn_in_force(dsn), receive_timeout_seconds=_LONG_SECONDS)


def _run(
    client: ClickHouse,
    sources: Iterable[tuple[Iterable[Chunk], Tally]],
    *,
    dry_run: bool,
    apart_ns: int = 0,
) -> None:
    """Import one source after the other, and print what became of each."""
    from otel_usage.importers.run import Import
    from otel_usage.importers.store import EventStore
    from otel_usage.schema.retention import retention_days_in_force

    store = EventStore(client, apart_ns=apart_ns)
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


def database_options(
    zone_help: str = "Time zone of times that name none.",
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return what adds the options of all imports out of databases."""

    def add_options(command: Callable[..., int]) -> Callable[..., int]:
        for option in (
            dsn_option,
            dry_run_option,
            service_option,
            click.option(
                "--timezone", "zone", default="UTC", show_default=True, metavar="NAME", help=zone_help
            ),
            click.option(
                "--url", required=True, metavar="SQLALCHEMY_URL", help="The old database; it is only read."
            ),
        ):
            command = option(command)
        return command

    return add_options


@import_group.command()
@click.option("--table", default="", help="Table of counters; default: the only one that looks like it.")
@click.option(
    "--counter", "counters", multiple=True, metavar="COLUMN", help="A counter; default: all whole numbers."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="LABEL",
    help="A model as Django writes it, such as shop.Product; the database knows lower case alone.",
)
@click.option(
    "--at", metavar="WHEN", help="Time of totals, which have none; default: the beginning of today."
)
@database_options()
def trackable(
    table: str,
    counters: tuple[str, ...],
    models: tuple[str, ...],
    at: str | None,
    url: str,
    zone: str,
    service: str,
    dry_run: bool,
    dsn: str | None,
) -> int:
    """Import counters of django-trackable: each value of each row is a counter event."""
    _require_sqlalchemy("trackable")
    from otel_usage.importers.trackable import TrackableCounters

    try:
        moment = parse_moment(at or f"{datetime.now(timezone.utc):%Y-%m-%d}")
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with _old_database(url) as database:
        source = TrackableCounters(
            database,
            _options(service, zone),
            table=table,
            counters=counters,
            models=models,
            at_ns=_nanoseconds(moment),
        )
        _run_source(source, "counters", dsn, dry_run=dry_run)
        if source.lower_case_types:
            click.echo(
                "otel-usage: object types are in lower case, unlike those of live events: "
                f"{printable(', '.join(source.lower_case_types[:20]))}. Name each with --model",
                err=True,
            )
    return 0


@import_group.command()
@click.option("--table", default="djaffar_activity", show_default=True, help="Table of activities.")
@click.option(
    "--sessions-table", default="djaffar_sessioninfo", show_default=True, help="Table of user agents."
)
@click.option("--site", default="", metavar="URL", help="Site of the paths, such as https://shop.example.")
@database_options()
def djaffar(
    table: str,
    sessions_table: str,
    site: str,
    url: str,
    zone: str,
    service: str,
    dry_run: bool,
    dsn: str | None,
) -> int:
    """Import activities of django-djaffar: each row is an activity event."""
    _require_sqlalchemy("djaffar")
    from otel_usage.importers.djaffar import DjaffarActivities

    with _old_database(url) as database:
        source = DjaffarActivities(
            database, _options(service, zone), table=table, sessions_table=sessions_table, site=site
        )
        _run_source(source, "activities", dsn, dry_run=dry_run)
    return 0


@import_group.command()
@click.option("--table", default="visit", show_default=True, help="Table of visits.")
@click.option(
    "--identities-table",
    default="visit_identity",
    show_default=True,
    help="Table of the users of visits; empty for none.",
)
@click.option(
    "--timeout-minutes",
    type=float,
    default=20.0,
    show_default=True,
    metavar="N",
    help="The old visit.timeout: how long after the last request a visit expired.",
)
@database_options()
def turbogears(
    table: str,
    identities_table: str,
    timeout_minutes: float,
    url: str,
    zone: str,
    service: str,
    dry_run: bool,
    dsn: str | None,
) -> int:
    """Import visits of TurboGears: each row is the first request of a visit, and the last one."""
    if not 0 < timeout_minutes < 1_000_000:
        raise click.UsageError(f"--timeout-minutes is {timeout_minutes}, expected a number above 0")
    _require_sqlalchemy("turbogears")
    from otel_usage.importers.turbogears import TurboGearsVisits

    with _old_database(url) as database:
        source = TurboGearsVisits(
            database,
            _options(service, zone),
            table=table,
            identities_table=identities_table,
            timeout_seconds=timeout_minutes * 60,
        )
        _run_source(source, "visits", dsn, dry_run=dry_run)
    return 0


@import_group.command("flask-track-usage")
@click.option("--table", default="flask_usage", show_default=True, help="Table of requests.")
@click.option(
    "--without-users",
    is_flag=True,
    help="Leave the user names out, which come from a header that anybody can write.",
)
@database_options("Time zone of the old server, whose clocks may have moved an hour of each year.")
def flask_track_usage(
    table: str, without_users: bool, url: str, zone: str, service: str, dry_run: bool, dsn: str | None
) -> int:
    """Import requests of Flask-Track-Usage's SQL storage: each row is a request event."""
    _require_sqlalchemy("flask-track-usage")
    from otel_usage.importers.flask_track_usage import MOVED_AT_MOST_NS, TrackedRequests

    with _old_database(url) as database:
        source = TrackedRequests(
            database, _options(service, zone), table=table, keeps_users=not without_users
        )
        _run_source(source, "requests", dsn, dry_run=dry_run, apart_ns=MOVED_AT_MOST_NS)
        if source.unreadable_addresses:
            click.echo(
                f"otel-usage: {source.unreadable_addresses:,} rows have an address that cannot be read, such as one "
                "of IPv6 that was cut; their client_address is ::",
                err=True,
            )
    return 0


class _Source(Protocol):
    @property
    def name(self) -> str: ...

    def chunks(self) -> Iterator[Chunk]: ...


def _require_sqlalchemy(command: str) -> None:
    try:
        import sqlalchemy  # noqa: F401 - what is imported next needs it
    except ModuleNotFoundError as error:
        raise OtelUsageError(
            f"import {command} needs sqlalchemy. Install it with: pip install 'otel-usage[sqlalchemy]'"
        ) from error


@contextmanager
def _old_database(url: str) -> Iterator[OldDatabase]:
    from otel_usage.importers.old_database import OldDatabase

    database = OldDatabase(url)
    try:
        yield database
    finally:
        database.close()


def _options(service: str, zone: str) -> ImportOptions:
    from otel_usage.importers.old_rows import ImportOptions, find_zone

    return ImportOptions(Settings.load(), service or _service_of_the_app(), find_zone(zone))


def _run_source(
    source: _Source, noun: str, dsn: str | None, *, dry_run: bool, apart_ns: int | None = None
) -> None:
    from otel_usage.importers.chunk import Tally
    from otel_usage.importers.lookup import ANY_TIME_NS

    # Whoever names another time zone means the same rows.
    apart_ns = ANY_TIME_NS if apart_ns is None else apart_ns
    with closing(_connect(dsn)) as client:
        _run(client, [(source.chunks(), Tally(source.name, noun))], dry_run=dry_run, apart_ns=apart_ns)


class _Progress:
    """Says now and then how far an import is."""

    def __init__(self) -> None:
        self._started = self._said = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._said >= _PROGRESS_SECONDS:
            self._said = now
            click.echo(f"{printable(tally.name)}: {tally.read:,} {tally.noun} so far", err=True)
