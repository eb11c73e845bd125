"""Storages of processes that fork, and of processes that end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.flask.storages.slow_app import REQUESTS

ROOT = Path(__file__).parents[3]
SECONDS = 120


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-m",
            f"tests.flask.storages.{program}",
            *arguments,
        ],
        cwd=ROOT,
        env={**environ, "OTEL_USAGE_EXPORTER": "none"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_a_forked_child_stores_its_own_requests_and_leaves_the_parents_to_the_parent() -> None:
    finished = run("forking")

    assert finished.returncode == 0, finished.stderr
    told = [json.loads(line) for line in finished.stdout.splitlines()]
    children = [each for each in told if each["who"] == "child"]
    (parent,) = [each for each in told if each["who"] == "parent"]
    assert sorted(each["paths"] for each in children) == [["/child/0"], ["/child/1"]]
    assert [(each["done"], each["offered"], each["stored"]) for each in children] == [(True, 1, 1)] * 2
    assert parent["paths"] == ["/in-hand", "/waiting"]
    assert (parent["offered"], parent["stored"]) == (2, 2)


def test_a_storage_that_hangs_when_the_process_ends_delays_it_for_seconds_and_costs_no_other_one() -> None:
    began = time.monotonic()

    with ThreadPoolExecutor(2) as pool:
        by_exit, by_signal = pool.map(partial(run, "slow_app"), ["exit", "signal"])

    assert (by_exit.returncode, by_signal.returncode) == (0, -signal.SIGTERM)
    for finished in (by_exit, by_signal):
        stored = [f"stored /{number}" for number in range(REQUESTS)]
        assert finished.stdout.splitlines() == stored
        assert f"The usage storage hang was given up with {REQUESTS} requests left" in finished.stderr
    assert time.monotonic() - began < SECONDS
