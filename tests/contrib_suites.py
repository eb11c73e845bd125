"""Runs contrib's own tests, which come with its packages on PyPI, alone and while tracking is active in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
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
    archive = _cache_directory() / f"{name}.tar.gz"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        command = ["download", "-q", "--no-deps", "--no-binary", package, f"{package}=={version(package)}"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *command, "-d", str(archive.parent)], capture_output=True, text=True
        )
        if done.returncode:
            problem = f"{package} {version(package)} could not be downloaded: {done.stderr.strip()[-300:]}"
            if REQUIRED:
                pytest.fail(problem)
            pytest.skip(problem)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member) if member.name.startswith(f"{name}/tests/") else None
            if content is not None:
                # Under another name: `tests` is our own package.
                place = directory / SUITE / Path(member.name).relative_to(f"{name}/tests")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())
    return directory


def run(suite: Path, framework: str = "") -> Counts:
    """Run the suite, with tracking in the framework's requests when one is named; fail when a test does."""
    counts = suite / "counts.json"
    counts.write_text("{}")
    plugin = ["-p", "tests.contrib_plugin"] if framework else []
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, *plugin, SUITE],
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
