"""Starts `otel-usage serve` as a process of its own, the only way tests use the embedded engine."""

from __future__ import annotations

import os
import selectors
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 120.0


@dataclass(frozen=True)
class ServeProcess:
    """A running server; the addresses are those of its ready line."""

    process: subprocess.Popen[str]
    data: Path
    dsn: str
    http_url: str
    otlp_url: str

    def dsn_of(self, database: str) -> str:
        return f"{self.http_url}/{database}"

    def stop(self) -> int:
        """Ask the server to stop and return its exit code."""
        with self.process:  # closes the pipes
            self.process.terminate()
            return self.process.wait(timeout=START_SECONDS)


def start_serve(data: Path, *options: str, environ: dict[str, str] | None = None) -> ServeProcess:
    """Start a server on free ports and return it when it is ready."""
    process = spawn_serve(data, "--http-port", "0", "--otlp-port", "0", *options, environ=environ)
    line = _first_line(process)
    if not line.startswith("ready "):
        process.kill()
        raise AssertionError(f"the server did not get ready: {line!r} {process.communicate()[1]!r}")
    values = dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
    return ServeProcess(process, Path(values["data"]), values["dsn"], values["http"], values["otlp"])


def spawn_serve(
    data: Path | str, *options: str, environ: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the server's process without waiting for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "otel_usage.server", "--data", str(data), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
    )


def wait_for(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Return when the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} seconds")
        time.sleep(0.01)


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(START_SECONDS):
            return ""
    return process.stdout.readline()
