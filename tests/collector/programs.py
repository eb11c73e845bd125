"""Finds the programs of the Collector: those that variables name, else those that the build script makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs_tables import ROOT

BUILD_SCRIPT = ROOT / "collector_config" / "build_collector.sh"


def program(name: str, variable: str) -> Path:
    """Return the path of a program, or skip the test that asks for it.

    With `OTEL_USAGE_REQUIRE_COLLECTOR=1` the test fails instead of being skipped.

    Args:
        name: as the build script calls it, `otelcol` or `telemetrygen`.
        variable: of the environment, with the path of a program to use instead.
    """
    given = os.environ.get(variable)
    if given:
        assert os.access(given, os.X_OK), f"{variable} is {given!r}, expected the path of a program"
        return Path(given)
    built = subprocess.run([BUILD_SCRIPT, name], capture_output=True, text=True)
    if built.returncode == 0:
        return Path(built.stdout.strip())
    reason = f"no {name}: {built.stderr.strip()[-500:]}"
    if os.environ.get("OTEL_USAGE_REQUIRE_COLLECTOR") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
