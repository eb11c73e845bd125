"""The demo end to end: real servers, real requests, every number checked."""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from otel_usage.clickhouse import connect
from otel_usage.demo.checks import Stored, check_simulation
from otel_usage.demo.processes import Child
from otel_usage.demo.run import DemoOptions, run_demo
from otel_usage.demo.simulator import DEFAULT_SEED, plan_visitors
from otel_usage.demo.stacks import DJANGO, DJANGO_ASGI, FLASK, Stack
from otel_usage.demo.truth import measure
from otel_usage.schema import migrate
from tests.serving import ServeProcess

REAL_LOG = Path(__file__).parents[3] / "shared" / "data" / "apache-access.log"
ADDRESSES = r"ClickHouse interface http://127\.0\.0\.1:(\d+), shop http://127\.0\.0\.1:(\d+)"
START_SECONDS = 180.0
NOBODY_RETURNS = 8
"""So few requests that nobody comes for a second visit, for which all would wait."""


def run(options: DemoOptions) -> tuple[int, str]:
    """Run the demo; again with longer visits where this computer paused within one, which may then have become two."""
    for _ in range(3):
        output = io.StringIO()
        code = run_demo(options, Console(file=output, width=200))
        if "This computer paused" not in output.getvalue():
            break
        options = replace(options, visit_timeout_seconds=options.visit_timeout_seconds * 4)
    return code, output.getvalue()


def start(tmp_path: Path, *arguments: str) -> Child:
    # The data of a kept demo goes below TMPDIR.
    command = [sys.executable, "-m", "otel_usage", "demo", *arguments]
    return Child(
        "the demo", command, log_path=tmp_path / "demo.log", env={**os.environ, "TMPDIR": str(tmp_path)}
    )


def is_listening(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


@pytest.fixture(params=[FLASK, DJANGO, DJANGO_ASGI], ids=lambda stack: stack.title)
def stack(request: pytest.FixtureRequest) -> Stack:
    """Each way to run the shop."""
    made: Stack = request.param
    return made


def test_a_small_demo_finds_every_number_as_it_was_sent(stack: Stack) -> None:
    code, output = run(DemoOptions(requests=200, stack=stack, visit_timeout_seconds=3.0))

    assert "requests: sent 200, stored 200" in output
    assert "FAIL" not in output
    assert "29 of 29 checks hold." in output
    assert f"The shop: {stack.title}, with two workers" in output
    assert code == 0


def test_the_settings_of_another_app_do_not_reach_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_USAGE_IP", "off")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--bind 127.0.0.1:1")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "no_such.settings")
    monkeypatch.setenv("UVICORN_PORT", "1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    code, output = run(DemoOptions(requests=NOBODY_RETURNS))

    assert code == 0, output


def test_another_seed_is_checked_just_as_well() -> None:
    code, output = run(DemoOptions(requests=150, seed=4, visit_timeout_seconds=3.0))

    assert code == 0, output


def test_a_log_is_replayed_and_what_cannot_be_sent_is_told(tmp_path: Path, stack: Stack) -> None:
    path = tmp_path / "access.log"
    line = '{} - - [17/May/2015:10:05:03 +0000] "GET {} HTTP/1.1" 200 1 "-" "curl/8.11.1"'
    lines = [line.format("192.0.2.1", "/"), line.format("2001:db8::1", "/static/x.css"), "no log line"]
    path.write_text("\n".join(lines))

    code, output = run(DemoOptions(log=path, stack=stack))

    assert "1 of 3 lines were not sent: not in the combined log format" in output
    assert "requests: sent 2, stored 2" in output
    assert code == 0


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real access log lies beside the repository, not in it")
def test_a_slice_of_a_real_log_is_stored_whole() -> None:
    code, output = run(DemoOptions(log=REAL_LOG, requests=300))

    assert "requests: sent 300, stored 300" in output
    assert code == 0


def test_a_log_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    code, output = run(DemoOptions(log=tmp_path / "none.log"))

    assert code == 1
    assert "The demo failed" in output
    assert "ClickHouse interface" not in output


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no log line\nnor this\n", "of 2: not in the combined log format"),
        ("", "of 0: the file is empty"),
    ],
)
def test_a_log_of_which_no_line_can_be_sent_is_a_failure(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "access.log"
    path.write_text(text)

    code, output = run(DemoOptions(log=path))

    assert code == 1
    assert f"No line of '{path}' could be sent, {reason}." in " ".join(output.split())
    assert "ClickHouse interface" not in output


def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path) -> None:
    with start(tmp_path, "--requests", "1000000") as demo:
        ports = demo.wait_for_line(ADDRESSES, timeout_seconds=START_SECONDS).groups()
        assert all(map(is_listening, ports))

        code = demo.stop()

    assert code == 1
    assert not any(map(is_listening, ports))
    assert "Stopped, with everything that was started." in demo.output()


@pytest.fixture
def _interrupts_are_heard() -> Iterator[None]:
    # A shell lets what it starts in the background ignore them, and so would our children.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("_interrupts_are_heard")
def test_a_kept_demo_runs_until_it_is_interrupted_and_leaves_its_data(tmp_path: Path) -> None:
    with start(tmp_path, "--keep", "--requests", str(NOBODY_RETURNS)) as demo:
        ports = demo.wait_for_line(ADDRESSES, timeout_seconds=START_SECONDS).groups()
        directory = Path(demo.wait_for_line(r"Data, logs: +(\S+)", timeout_seconds=START_SECONDS)[1])
        demo.wait_for_line("Ctrl-C stops the servers", timeout_seconds=START_SECONDS)
        assert all(map(is_listening, ports))

        os.kill(demo.pid, signal.SIGINT)
        demo.wait_for_line("^Stopping", timeout_seconds=START_SECONDS)
        code = demo.wait(timeout_seconds=START_SECONDS)

    assert code == 0
    assert not any(map(is_listening, ports))
    assert (directory / "data").is_dir()


def test_an_empty_database_fails_the_checks(serve: ServeProcess) -> None:
    clickhouse = connect(serve.dsn_of("demo_checks"), create_database=True)
    migrate(clickhouse)

    checks = check_simulation(Stored(clickhouse), measure(plan_visitors(DEFAULT_SEED, 200)))
    clickhouse.close()

    holding = {check.name for check in checks if check.holds}
    assert holding == {"once each", "rejected events", "browsers_daily = events"}
