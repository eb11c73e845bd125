"""What the demo says, in a process of its own, when something is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import otel_usage
from otel_usage.demo.requirements import check_requirements

INSTALL = "Install it with: pip install 'otel-usage[demo]'\n"


def demo(python: str | Path, *search_path: Path | str) -> tuple[int, str, str]:
    run = subprocess.run(
        [python, "-m", "otel_usage", "demo"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, search_path))},
    )
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("gunicorn", "gunicorn"),
        ("flask", "flask"),
        ("chdb", "chdb"),
        ("uvicorn", "uvicorn"),
        ("opentelemetry.instrumentation.flask", "opentelemetry-instrumentation-flask"),
    ],
)
def test_a_package_that_is_missing_is_named_before_anything_starts(
    tmp_path: Path, module: str, distribution: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None")

    outcome = demo(sys.executable, tmp_path)

    assert outcome == (1, "", f"otel-usage: demo needs {distribution}. {INSTALL}")


def test_programs_that_are_missing_are_named(tmp_path: Path) -> None:
    # A new environment that sees the packages of this one, and has no program but Python.
    venv.create(tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    packages = [path for path in sys.path if path.endswith("site-packages")]

    outcome = demo(programs / "python", Path(otel_usage.__file__).parents[1], *packages)

    expected = f"the program {programs}/opentelemetry-instrument and the program {programs}/gunicorn"
    assert outcome == (1, "", f"otel-usage: demo needs {expected}. {INSTALL}")


def test_nothing_is_missing_here() -> None:
    check_requirements()
