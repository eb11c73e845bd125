"""Flask-Track-Usage 2.0.0 in a folder of its own, installed once, so that a benchmark can run it beside ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import REPOSITORY, clean_environment

PACKAGES = (
    "Flask-Track-Usage==2.0.0",
    "SQLAlchemy==1.4.54",  # the last that it can also read with
    "six==1.17.0",  # which it imports and does not ask for
    "psycopg2-binary==2.9.13",  # which that SQLAlchemy needs for PostgreSQL
)
_INSTALL_SECONDS = 600


class NotInstalled(Exception):
    """The old package is not there, and could not be fetched; the text says why."""


def folder() -> Path:
    """Return where it belongs; a build of psycopg2 fits one version of Python."""
    version = ".".join(map(str, sys.version_info[:2]))
    return REPOSITORY / "build" / "benchmarks" / f"flask-track-usage-2.0.0-python{version}"


def is_installed() -> bool:
    return folder().is_dir()


def install() -> Path:
    """Return its folder, filled from the package index unless it is there.

    No environment of its own: in front of the path of this one, it runs on the very same Flask as ours.

    Raises:
        NotInstalled: pip failed.
    """
    target = folder()
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as directory:
            _fetch(Path(directory) / "packages")
            # In one step, so that an interrupted one leaves nothing that looks whole.
            shutil.move(Path(directory) / "packages", target)
    return target


def _fetch(target: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        *PACKAGES,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"pip did not end within {_INSTALL_SECONDS} seconds") from None
    if done.returncode != 0:
        lines = done.stderr.splitlines() or ["pip failed without a word"]
        errors = [line for line in lines if line.startswith("ERROR:")]
        raise NotInstalled((errors or lines)[-1])


def environment() -> dict[str, str]:
    """Return the environment of a process that has the old package first on its path.

    Raises:
        NotInstalled: it cannot be installed.
    """
    environ = clean_environment()
    path = [str(install()), str(REPOSITORY), environ.get("PYTHONPATH", "")]
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
