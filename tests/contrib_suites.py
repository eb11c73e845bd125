"""Runs the tests that come with packages on PyPI; those of contrib alone and while tracking is active in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

SUITE = "contrib_suite"
ROOT = Path(__file__).parents[1]
REQUIRED = os.environ.get("OTEL_USAGE_REQUIRE_CONTRIB") == "1"


class Counts(NamedTuple):
    """How many tests passed and were skipped; requests that were served, and those of them that we annotated."""

    passed: int
    skipped: int
    served: int = 0
    annotated: int = 0


def unpack(package: str, directory: Path) -> Path:
    """Return the directory of contrib's tests, of exactly the version that is installed.

    Without the network the test is skipped, unless OTEL_USAGE_REQUIRE_CONTRIB is 1.
    """
    name = f"{package.replace('-', '_')}-{version(package)}"
    # Under another name: `tests` is our own package.
    unpack_folder(download(package, version(package), name), f"{name}/tests", directory / SUITE)
    return directory


def download(package: str, number: str, name: str, *, builds: str = "") -> Path:
    """Return the source archive of a package, downloaded once.

    Args:
        package: as pip knows it.
        number: its version.
        name: of the archive, without its ending.
        builds: what reads the package's metadata, in the place of what the package asks for.
    """
    archive = _cache_directory() / f"{name}.tar.gz"
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as tools:
        commands = [["download", "-q", "--no-deps", "--no-binary", package, f"{package}=={number}"]]
        commands[-1] += ["-d", str(archive.parent)]
        if builds:
            commands[-1].append("--no-build-isolation")
            commands.insert(0, ["install", "-q", "--target", tools, builds])
        for command in commands:
            done = subprocess.run(
                [sys.executable, "-m", "pip", *command],
                env={**os.environ, "PYTHONPATH": tools},
                capture_output=True,
                text=True,
            )
            if done.returncode:
                problem = f"{package} {number} could not be downloaded: {done.stderr.strip()[-300:]}"
                if REQUIRED:
                    pytest.fail(problem)
                pytest.skip(problem)
    return archive


def unpack_folder(archive: Path, folder: str, directory: Path) -> None:
    """Write the files of a folder of an archive into a directory."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member) if member.name.startswith(f"{folder}/") else None
            if content is not None:
                place = directory / Path(member.name).relative_to(folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())


def run(suite: Path, framework: str = "") -> Counts:
    """Run the suite, with tracking in the framework's requests when one is named; fail when a test does."""
    counts = suite / "counts.json"
    counts.write_text("{}")
    plugins = ["-p", "tests.contrib_clock", *(["-p", "tests.contrib_plugin"] if framework else [])]
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, *plugins, SUITE],
        cwd=suite,
        env={
            **clean,
            "PYTHONPATH": str(ROOT),
            "CONTRIB_COUNTS": str(counts),
            "CONTRIB_FRAMEWORK": framework,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = {
        kind: int(count) for count, kind in re.findall(r"(\d+) (passed|skipped|failed|error)", done.stdout)
    }
    assert not found.keys() & {"failed", "error"}, done.stdout[-5000:]
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return Counts(found["passed"], found.get("skipped", 0), **json.loads(counts.read_text()))


def _cache_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-usage-tests"
