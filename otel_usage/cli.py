"""The command line: `otel-usage COMMAND`.

Exit codes: 0 done, 1 failed, 2 wrong usage. An error is one line on stderr; `--debug` adds the traceback.
"""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from otel_usage import __version__
from otel_usage.cli_copy import copy
from otel_usage.cli_failures import run
from otel_usage.cli_import import import_group
from otel_usage.cli_options import (
    DataDirectory,
    Day,
    WholeNumber,
    dsn_in_force,
    dsn_option,
    not_empty,
    person_options,
)
from otel_usage.clickhouse import connect
from otel_usage.dsn import parse_dsn
from otel_usage.environment import unknown_settings, unusable_settings
from otel_usage.errors import OtelUsageError
from otel_usage.reports.model import BOTS, BUCKETS, DEFAULT_BUCKET, DEFAULT_LIMIT, Bots
from otel_usage.reports.output import FORMATS, printable, write_result
from otel_usage.reports.printing import DEFAULT_SINCE, REPORT_FORMATS, ReportRequest, list_reports
from otel_usage.settings import Settings, describe

if TYPE_CHECKING:
    from otel_usage.privacy import Selector
    from otel_usage.schema.landing import Landing

_LONG_SECONDS = 3600
"""How long a statement over all events may take without a word."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="otel-usage", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Usage analytics out of your app's own OpenTelemetry spans."""


@cli.command()
@click.option(
    "--data",
    type=DataDirectory(),
    default=Path("otel-usage-data"),
    show_default=True,
    help="Directory of the data; made if it is missing.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--http-port", type=WholeNumber(0, 65535), default=8123, show_default=True, help="ClickHouse HTTP."
)
@click.option("--otlp-port", type=WholeNumber(0, 65535), default=4318, show_default=True, help="OTLP/HTTP.")
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="Accept this Host header too; may be repeated."
)
def serve(data: Path, host: str, http_port: int, otlp_port: int, allow_host: tuple[str, ...]) -> int:
    """Run the embedded ClickHouse with an OTLP receiver, on loopback."""
    try:
        from otel_usage.server.serve import ServeOptions
        from otel_usage.server.serve import serve as run_server
    except ModuleNotFoundError as error:
        raise OtelUsageError(
            f"serve needs {error.name}. Install it with: pip install 'otel-usage[serve]'"
        ) from error

    settings = Settings.load()
    return run_server(
        ServeOptions(
            data=data,
            host=host,
            http_port=http_port,
            otlp_port=otlp_port,
            allowed_hosts=allow_host,
            retention_days=settings.retention_days,
            summary_retention_days=settings.summary_retention_days,
            traces_retention_days=settings.traces_retention_days,
        )
    )


@cli.command()
@dsn_option
@click.option(
    "--cluster",
    callback=not_empty,
    metavar="NAME",
    help="Spread the tables over the servers of this cluster; see docs/scaling.md.",
)
@click.option(
    "--otel-traces",
    type=click.Choice(["mergetree", "null"]),
    help="Keep the spans that a Collector stores, or only the events in them; default: as before, kept at first.",
)
@click.option("--dry-run", is_flag=True, help="Print the statements instead of running them.")
def migrate(dsn: str | None, cluster: str, otel_traces: Landing | None, dry_run: bool) -> int:
    """Create the tables and views, or bring them up to date. Repeatable."""
    from otel_usage.schema import migrate_database

    settings = Settings.load()
    report = migrate_database(
        dsn_in_force(dsn),
        retention_days=settings.retention_days,
        summary_retention_days=settings.summary_retention_days,
        traces_retention_days=settings.traces_retention_days,
        otel_traces=otel_traces,
        cluster=cluster,
        dry_run=dry_run,
    )
    for line in report.lines():
        click.echo(line)
    if report.fault:
        click.echo(
            f"otel-usage: without --dry-run this would be refused: {printable(report.fault)}", err=True
        )
    return 0


@cli.command()
@click.argument("name", required=False)
@click.option("--list", "is_list", is_flag=True, help="Name all reports.")
@click.option(
    "--since",
    default=DEFAULT_SINCE,
    show_default=True,
    metavar="WHEN",
    help="15m, 24h, 7d, 4w, or a date or time, UTC; whole days, except in events.",
)
@click.option("--until", metavar="WHEN", help="The same; default: now.")
@click.option("--service", callback=not_empty, help="One service only; default: all.")
@click.option("--funnel", callback=not_empty, help="One funnel only; default: all. For funnel and dropped.")
@click.option("--stage", callback=not_empty, help="Lost after this stage only; default: any. For dropped.")
@click.option(
    "--object-type",
    callback=not_empty,
    metavar="TYPE",
    help="Objects of one type only, such as shop.Product; default: all.",
)
@click.option(
    "--trace", callback=not_empty, metavar="ID", help="One trace only; default: all. For events and spans."
)
@click.option(
    "--bots",
    type=click.Choice(list(BOTS)),
    default="with",
    show_default=True,
    help="Count robots too, leave them out, or count them only.",
)
@click.option(
    "--bucket",
    type=click.Choice(list(BUCKETS)),
    default=DEFAULT_BUCKET,
    show_default=True,
    help="How finely a report over time counts, in UTC.",
)
@click.option(
    "--limit", type=WholeNumber(1, 1_000_000), default=DEFAULT_LIMIT, show_default=True, help="Most rows."
)
@click.option(
    "--format", "output_format", type=click.Choice(REPORT_FORMATS), default="table", show_default=True
)
@dsn_option
def report(
    name: str | None,
    is_list: bool,
    since: str,
    until: str | None,
    service: str,
    funnel: str,
    object_type: str,
    stage: str,
    trace: str,
    bots: Bots,
    bucket: str,
    limit: int,
    output_format: str,
    dsn: str | None,
) -> int:
    """Print a report: browsers, ips, pages, visits, funnel, events and more."""
    if is_list:
        if name:
            raise click.UsageError(f"--list names all reports and takes none: leave {name!r} or --list away")
        for line in list_reports():
            click.echo(line)
        return 0
    request = ReportRequest(
        name=name or "",
        since=since,
        until=until,
        service=service,
        funnel=funnel,
        object_type=object_type,
        stage=stage,
        trace=trace,
        bots=bots,
        bucket=bucket,
        limit=limit,
        output_format=output_format,
    )
    try:
        request.check()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with closing(connect(dsn_in_force(dsn))) as client:
        for note in request.print_to(sys.stdout, client):
            click.echo(f"otel-usage: {note}", err=True)
    return 0


@cli.command()
@click.option("--format", "output_format", type=click.Choice(FORMATS), default="table", show_default=True)
def settings(output_format: str) -> int:
    """Print every setting: its variable, the value in force, the default, the meaning."""
    from otel_usage.reports.model import ReportResult

    in_force = Settings.load()
    for line in unknown_settings():
        click.echo(f"otel-usage: {printable(line)}", err=True)
    for error in unusable_settings(in_force):
        raise error
    rows = [(line.name, line.value, line.default, line.meaning) for line in describe(in_force)]
    write_result(ReportResult(("setting", "value", "default", "meaning"), rows), output_format, sys.stdout)
    return 0


@cli.command()
@dsn_option
def doctor(dsn: str | None) -> int:
    """Check the settings, the app's OTLP endpoint, and ClickHouse: connection, schema, one event there and back."""
    from otel_usage.doctor import examine, examine_otlp, examine_settings

    in_force = Settings.load()
    way_of_app = examine_otlp(in_force, is_about_database=dsn is not None)
    dsn = dsn_in_force(dsn)
    parse_dsn(dsn)
    healthy = True
    for finding in chain(examine_settings(in_force), way_of_app, examine(dsn)):
        click.echo(finding.line())
        healthy = healthy and finding.is_good
    return 0 if healthy else 1


@cli.command()
@click.option(
    "--requests",
    type=WholeNumber(1, 1_000_000),
    help="Requests to send; default: 2000, or all of the log.",
)
@click.option("--keep", is_flag=True, help="Leave the servers running until Ctrl-C.")
@click.option(
    "--log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Send the requests of an access log in combined format.",
)
@click.option(
    "--framework",
    type=click.Choice(("flask", "django")),
    help="What the shop is made with; default: flask, or django with --asgi.",
)
@click.option("--asgi", is_flag=True, help="Run the Django shop under uvicorn instead of gunicorn.")
def demo(requests: int | None, keep: bool, log: Path | None, framework: str | None, asgi: bool) -> int:
    """Run a small shop, send it real traffic, print the reports and check every number."""
    from otel_usage.demo.requirements import check_requirements
    from otel_usage.demo.stacks import find_stack

    try:
        stack = find_stack(framework, is_asgi=asgi)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    check_requirements(stack)
    from otel_usage.demo.run import DemoOptions, run_demo

    return run_demo(DemoOptions(requests=requests, keep=keep, log=log, stack=stack))


def _selector(options: dict[str, str | None]) -> Selector:
    from otel_usage.instrumentation.address import AddressPolicy
    from otel_usage.privacy import parse_selector

    try:
        selector = parse_selector(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    secret = Settings.load().secret
    if selector.kind != "address":
        return selector
    if not secret:
        click.echo(
            "otel-usage: OTEL_USAGE_SECRET is not set here, so addresses that were stored hashed are not found",
            err=True,
        )
        return selector
    return replace(selector, address_hash=AddressPolicy("hashed", secret).apply(selector.value).hashed)


@cli.command()
@person_options
@click.option("--dry-run", is_flag=True, help="Count what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dsn_option
def forget(dry_run: bool, yes: bool, dsn: str | None, **person: str | None) -> int:
    """Remove a person from every table and state, and count what is left."""
    from otel_usage.privacy import forget as run_forget
    from otel_usage.privacy import preview

    selector = _selector(person)
    if not (dry_run or yes or sys.stdin.isatty()):
        raise click.UsageError("There is no terminal to ask on: say --yes, or look first with --dry-run")
    with closing(connect(dsn_in_force(dsn), receive_timeout_seconds=_LONG_SECONDS)) as client:
        if not yes:
            held = preview(client, selector)
            for line in held.lines(is_preview=True):
                click.echo(line)
            if dry_run or held.is_empty:
                return 0
            if not click.confirm("Remove all of this for ever?"):
                click.echo("Nothing was removed.")
                return 1
        result = run_forget(client, selector)
    for line in result.lines():
        click.echo(line)
    return 0 if result.is_clean else 1


@cli.command("export-person")
@person_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file, for you alone; default: stdout.",
)
@dsn_option
def export_person(output: Path | None, dsn: str | None, **person: str | None) -> int:
    """Write every row that is held of a person, as lines of JSON."""
    from otel_usage.privacy import export_person as export
    from otel_usage.privacy import open_private_file

    selector = _selector(person)
    written = 0
    with (
        closing(connect(dsn_in_force(dsn), receive_timeout_seconds=_LONG_SECONDS)) as client,
        open_private_file(output) if output else nullcontext(sys.stdout) as file,
    ):
        for line in export(client, selector):
            file.write(f"{line}\n")
            written += 1
    if not written:
        if output:
            output.unlink()
        click.echo("otel-usage: nothing is held of this person", err=True)
    elif output:
        click.echo(f"otel-usage: {written} rows written", err=True)
    return 0


@cli.command()
@click.option("--day", type=Day(), required=True, metavar="YYYY-MM-DD", help="A day, UTC.")
@dsn_option
def rebuild(day: date, dsn: str | None) -> int:
    """Make the states of one day anew from its events, each counted once."""
    from otel_usage.schema.rebuild import rebuild_day

    with closing(connect(dsn_in_force(dsn), receive_timeout_seconds=_LONG_SECONDS)) as client:
        for table in rebuild_day(client, day):
            click.echo(f"{table.name}: {table.before} rows before, {table.after} after")
    return 0


cli.add_command(copy)
cli.add_command(import_group)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run(cli, arguments))
