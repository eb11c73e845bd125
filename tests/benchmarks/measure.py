"""How the benchmarks measure: child processes that answer in JSON, medians, and the spread between rounds."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


def run_child(module: str, *arguments: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a module in a fresh process and return the JSON object that it prints last.

    A process of its own per measurement, because instrumentation, caches and garbage of one variant
    would be in the next one's figure.

    Raises:
        RuntimeError: the process failed; the text is the end of its stderr.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments],
        cwd=REPOSITORY,
        env={**clean_environment(), **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of OpenTelemetry or ours, which would change the variants."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


def quantile(sorted_values: Sequence[float], share: float) -> float:
    """Return the value below which a share (0.0 to 1.0) of the sorted values lies."""
    return sorted_values[min(int(len(sorted_values) * share), len(sorted_values) - 1)]


def spread(values: Sequence[float]) -> str:
    """Return by how much rounds differ: half the distance from lowest to highest, as a share of the median."""
    middle = statistics.median(values)
    return f"±{(max(values) - min(values)) / 2 / middle:.0%}" if middle else "-"
