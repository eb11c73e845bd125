"""Runs rotel, a Collector of another make that pip installs, between an app and `otel-usage serve`."""

from __future__ import annotations

import os
import socket
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.serving import wait_for

# The program needs the shared library of the Python that its wheel is for, which may be in no usual place.
ROTEL_ENVIRON = {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))}


def find_rotel() -> Path:
    """Return the program, or skip the test where it is not installed or cannot run.

    With `OTEL_USAGE_REQUIRE_COLLECTOR=1` the test fails instead of being skipped.
    """
    spec = find_spec("rotel")
    if spec is None or spec.origin is None:
        return _absent("rotel is not installed")
    program = Path(spec.origin).with_name("rotel-agent")
    tried = subprocess.run([program, "--version"], capture_output=True, text=True, env=ROTEL_ENVIRON)
    # It needs glibc 2.34 at least.
    return (
        program if tried.returncode == 0 else _absent(f"rotel cannot run here: {tried.stderr.strip()[-300:]}")
    )


def _absent(reason: str) -> Path:
    if os.environ.get("OTEL_USAGE_REQUIRE_COLLECTOR") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Rotel:
    """A rotel on free ports that sends on what it gets.

    Args:
        program: as `find_rotel` says.
        directory: for its log.
        options: of its exporter.
    """

    def __init__(self, program: Path, directory: Path, *options: str) -> None:
        self._command = [str(program), "start", "--pid-file", str(directory / "rotel.pid"), *options]
        self._port, grpc_port = free_port(), free_port()
        self._command += ["--otlp-http-endpoint", f"127.0.0.1:{self._port}"]
        self._command += ["--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}"]
        self._log = directory / "rotel.log"

    @property
    def otlp_url(self) -> str:
        """Base address of OTLP/HTTP."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Rotel:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=ROTEL_ENVIRON)
        wait_for(self._listens, f"the start of rotel, see {self._log},")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"rotel has ended: {self._log.read_text()[-2000:]}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
