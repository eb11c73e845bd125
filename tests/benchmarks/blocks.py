"""Children that stay and measure in short turns, so that a slow moment of the machine is slow for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from tests.benchmarks.measure import REPOSITORY

Measure: TypeAlias = Callable[[int], dict[str, Any]]
"""Lets the child send so many requests, and returns what it measured; `RuntimeError` when it has ended."""


@contextmanager
def block_child(module: str, argument: str, environ: Mapping[str, str]) -> Iterator[Measure]:
    """Run a benchmark module that answers each number of requests on its stdin with a line of JSON."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", argument]
    # Errors to a file, because a pipe that nobody reads would stop it. The end of its stdin ends it.
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):

        def measure(requests: int) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                print(requests, file=process.stdin, flush=True)
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                errors.seek(0)
                raise RuntimeError(f"{module} {argument} failed: {errors.read()[-2000:]}")
            answer: dict[str, Any] = json.loads(line)
            return answer

        yield measure
