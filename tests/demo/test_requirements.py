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
from otel_usage.demo.stacks import DJANGO, DJANGO_ASGI, FLASK, Stack

INSTALL = "Install it with: pip install 'otel-usage[demo]'\n"


def demo(python: str | Path, *search_path: Path | str, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
    run = subprocess.run(
        [python, "-m", "otel_usage", "demo", *options],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, search_path))},
    )
    return run.returncode, run.stdout, run.stderr


@pytest.mark.parametrize(
    ("options", "module", "distribution"),
    [
        ("", "gunicorn", "gunicorn"),
        ("", "flask", "flask"),
        ("", "chdb", "chdb"),
        ("", "uvicorn", "uvicorn"),
        ("", "opentelemetry.instrumentation.flask", "opentelemetry-instrumentation-flask"),
        ("--framework django", "django", "django"),
        ("--framework django", "jinja2", "jinja2"),
        ("--framework django", "gunicorn", "gunicorn"),
        ("--asgi", "opentelemetry.instrumentation.django", "opentelemetry-instrumentation-django"),
        ("--asgi", "opentelemetry.instrumentation.asgi", "opentelemetry-instrumentation-asgi"),
    ],
)
def test_a_package_that_is_missing_is_named_before_anything_starts(
    tmp_path: Path, options: str, module: str, distribution: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None")

    outcome = demo(sys.executable, tmp_path, options=tuple(options.split()))

    assert outcome == (1, "", f"otel-usage: demo needs {distribution}. {INSTALL}")


@pytest.mark.parametrize(("options", "server"), [((), "gunicorn"), (("--asgi",), "uvicorn")])
def test_programs_that_are_missing_are_named(tmp_path: Path, options: tuple[str, ...], server: str) -> None:
    # A new environment that sees the packages of this one, and has no program but Python.
    venv.create(tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    packages = [path for path in sys.path if path.endswith("site-packages")]

    outcome = demo(programs / "python", Path(otel_usage.__file__).parents[1], *packages, options=options)

    expected = f"the program {programs}/opentelemetry-instrument and the program {programs}/{server}"
    assert outcome == (1, "", f"otel-usage: demo needs {expected}. {INSTALL}")


def test_a_package_of_the_other_framework_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['django'] = None")

    code, _, errors = demo(sys.executable, tmp_path, options=("--log", os.devnull))

    assert "demo needs" not in errors
    assert code == 1


@pytest.mark.parametrize("stack", [FLASK, DJANGO, DJANGO_ASGI], ids=lambda stack: stack.title)
def test_nothing_is_missing_here(stack: Stack) -> None:
    check_requirements(stack)
