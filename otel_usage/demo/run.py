"""`otel-usage demo`: starts the servers, sends the traffic, prints the reports and checks every number."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from rich.console import Console
from rich.markup import escape

from otel_usage.clickhouse import connect
from otel_usage.demo.access_log import AccessLog
from otel_usage.demo.checks import Check, Stored, check_log, check_sending, check_simulation
from otel_usage.demo.log_sender import LogSender
from otel_usage.demo.progress import show_progress
from otel_usage.demo.sender import SendReport, VisitorSender
from otel_usage.demo.services import PROBE_PATH, Serve, Shop, running_serve, running_shop
from otel_usage.demo.show_reports import show_reports
from otel_usage.demo.simulator import DEFAULT_REQUESTS, DEFAULT_SEED, plan_visitors
from otel_usage.demo.stacks import FLASK, Stack
from otel_usage.demo.truth import measure
from otel_usage.errors import ClickHouseUnavailable, OtelUsageError

Checking: TypeAlias = Callable[[], list[Check]]

_STANDSTILL_SECONDS = 10.0
"""Events that have not come after so long without a new one will not come."""
_POLL_SECONDS = 0.2
_SURE_SHARE = 0.95
"""Of the visit time-out: a visit may end by a twentieth sooner, because its cookie is not sent again each time."""
_SHOWN_LOG_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What `otel-usage demo` was asked to do."""

    requests: int | None = None
    """How many requests to send, at least 1; None: 2,000, or all of the log."""
    stack: Stack = FLASK
    """What the shop is made with, and what serves it."""
    keep: bool = False
    """Leave the servers running until Ctrl-C, and the data in its directory."""
    log: Path | None = None
    """Access log in combined format whose requests are sent instead of the simulated ones."""
    seed: int = DEFAULT_SEED
    visit_timeout_seconds: float = 10.0
    """Short, so that a visitor who comes back begins a second visit while we watch."""


def run_demo(options: DemoOptions, console: Console | None = None) -> int:
    """Run the demo and return its exit code: 0 when every check holds, else 1.

    However it ends, nothing that it started is left running.
    """
    console = console or Console(highlight=False)
    try:
        with _signals_as_interrupts(), ExitStack() as stack:
            return _run(options, console, stack)
    except KeyboardInterrupt:
        console.print("Stopped, with everything that was started.")
    except (OtelUsageError, OSError) as error:
        console.print(f"[red]The demo failed:[/red] {escape(str(error))}")
    return 1


def _run(options: DemoOptions, console: Console, stack: ExitStack) -> int:
    # Said now, not after the servers have started.
    total = _count_requests(options.log, options.requests) if options.log is not None else 0
    directory = _make_directory(options, stack)
    try:
        serve = stack.enter_context(running_serve(directory))
        shop = stack.enter_context(running_shop(directory, _shop_settings(options, serve), options.stack))
        console.print(f"ClickHouse interface {serve.http}, shop {shop.address}", soft_wrap=True)
        console.print(f"The shop: {options.stack.title}, with two workers")
        clickhouse = connect(serve.dsn)
        stack.callback(clickhouse.close)
        stored = Stored(clickhouse)
        if options.log is None:
            check = _simulate(options, console, stored, shop)
        else:
            check = _replay(options.log, total, options, console, stored, shop)
        if not options.keep:
            shop.child.stop()  # which sends what still waits in its workers
        checks = _settled(check)
        show_reports(console, clickhouse)
    except (OtelUsageError, OSError):
        _show_logs(console, directory)
        raise
    _show_checks(console, checks)
    failed = [check for check in checks if not check.holds]
    if failed:
        _show_logs(console, directory)
    if options.keep:
        _keep_running(options, console, directory, serve, shop)
    return 1 if failed else 0


def _make_directory(options: DemoOptions, stack: ExitStack) -> Path:
    if options.keep:
        return Path(tempfile.mkdtemp(prefix="otel-usage-demo-"))
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otel-usage-demo-")))


def _shop_settings(options: DemoOptions, serve: Serve) -> dict[str, str]:
    settings = {
        "OTEL_USAGE_DSN": serve.dsn,
        "OTEL_USAGE_VISIT_TIMEOUT_SECONDS": f"{options.visit_timeout_seconds:g}",
    }
    if options.log is not None:
        # Another site's /static/ pages are pages here.
        settings["OTEL_USAGE_EXCLUDED_URLS"] = f"^{PROBE_PATH}$"
    return settings


def _simulate(options: DemoOptions, console: Console, stored: Stored, shop: Shop) -> Checking:
    """Send the planned visitors and return how to check what came of them."""
    visitors = plan_visitors(options.seed, options.requests or DEFAULT_REQUESTS)
    truth = measure(visitors, write_route=options.stack.route)
    console.print(f"{len(visitors):,} visitors with {truth.requests:,} requests, seed {options.seed}")
    with show_progress(console, truth.requests) as on_progress:
        report = VisitorSender(
            shop.host, shop.port, visit_timeout_seconds=options.visit_timeout_seconds, on_progress=on_progress
        ).send(visitors)
    _show_problems(console, report)
    if report.longest_pause_seconds >= options.visit_timeout_seconds * _SURE_SHARE:
        console.print(
            f"[yellow]This computer paused for up to {report.longest_pause_seconds:.1f} s within a visit, and the visit "
            f"time-out is {options.visit_timeout_seconds:g} s: perhaps more visits than planned.[/yellow]",
            soft_wrap=True,
        )
    return lambda: [check_sending(report, truth.requests), *check_simulation(stored, truth)]


def _count_requests(path: Path, limit: int | None) -> int:
    """Return how many requests of a log there are to send.

    Raises:
        OtelUsageError: there is none.
        OSError: the file cannot be read.
    """
    log = AccessLog(path)
    total = sum(1 for _ in log.requests(limit))
    if not total:
        reason = log.skipped.most_common(1)[0][0] if log.skipped else "the file is empty"
        raise OtelUsageError(
            f"No line of {str(path)!r} could be sent, of {log.lines:,}: {reason}. "
            "Expected an access log in Apache's combined format"
        )
    return total


def _replay(
    path: Path, total: int, options: DemoOptions, console: Console, stored: Stored, shop: Shop
) -> Checking:
    """Send the requests of the log and return how to check what came of them."""
    log = AccessLog(path)
    with show_progress(console, total) as on_progress:
        report = LogSender(shop.host, shop.port, on_progress=on_progress).send(log.requests(options.requests))
    for reason, lines in log.skipped.most_common():
        console.print(f"[yellow]{lines:,} of {log.lines:,} lines were not sent: {reason}[/yellow]")
    _show_problems(console, report)
    console.print("A log knows no cookies, so each request is a visit of its own.")
    return lambda: [check_sending(report, total), *check_log(stored, report)]


def _settled(check: Checking) -> list[Check]:
    """Return the checks once all hold, or when what they see has stopped changing.

    While events come in, a table may be a moment ahead of the views that it fills.

    Raises:
        ClickHouseUnavailable: ClickHouse does not answer any more.
    """
    seen: list[Check] = []
    changed_at = time.monotonic()
    while True:
        is_late = time.monotonic() - changed_at >= _STANDSTILL_SECONDS
        try:
            checks = check()
        except ClickHouseUnavailable:
            if is_late:
                raise
        else:
            if is_late or all(each.holds for each in checks):
                return checks
            if checks != seen:
                seen, changed_at = checks, time.monotonic()
        time.sleep(_POLL_SECONDS)


def _show_problems(console: Console, report: SendReport) -> None:
    for problem in report.problems:
        console.print(f"[red]{escape(problem)}[/red]")
    if report.failed > len(report.problems):
        console.print(f"[red]… and {report.failed - len(report.problems):,} more[/red]")


def _show_checks(console: Console, checks: list[Check]) -> None:
    console.print()
    for check in checks:
        console.print(f"[{'green' if check.holds else 'red'}]{escape(str(check))}[/]", soft_wrap=True)
    failed = sum(not check.holds for check in checks)
    console.print(f"\n{len(checks) - failed} of {len(checks)} checks hold.")


def _show_logs(console: Console, directory: Path) -> None:
    """Show the end of what the servers have said."""
    for path in sorted(directory.glob("*.log")):
        lines = path.read_text("utf-8", "replace").splitlines()[-_SHOWN_LOG_LINES:]
        console.print(f"\n[bold]{path.stem}[/bold], last {len(lines)} lines:")
        console.print("\n".join(lines), markup=False, soft_wrap=True)


def _keep_running(options: DemoOptions, console: Console, directory: Path, serve: Serve, shop: Shop) -> None:
    console.print(
        f"\nThe shop:    {shop.address}\nClickHouse:  {serve.http}\nOTLP:        {serve.otlp}\n"
        f"DSN:         {serve.dsn}\nData, logs:  {directory}\n\n"
        f"A visit of this shop ends after {options.visit_timeout_seconds:g} seconds without a request.\n"
        "Ctrl-C stops the servers; the directory stays.",
        soft_wrap=True,
    )
    try:
        while serve.child.is_running() and shop.child.is_running():
            time.sleep(_POLL_SECONDS)
        console.print("[red]A server has ended by itself.[/red]")
        _show_logs(console, directory)
    except KeyboardInterrupt:
        console.print("Stopping.")


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does, so that its children go with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
