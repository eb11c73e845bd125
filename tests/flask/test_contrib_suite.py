"""Contrib's own tests pass, unmodified, while tracking is active in every request of theirs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

PACKAGE = "opentelemetry-instrumentation-flask"
SUITE = "contrib_suite"
ROOT = Path(__file__).parents[2]
REQUIRED = os.environ.get("OTEL_USAGE_REQUIRE_CONTRIB") == "1"


def cache_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-usage-tests"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of contrib's tests, of exactly the version that is installed.

    The package on PyPI holds them. Without the network the test is skipped, unless OTEL_USAGE_REQUIRE_CONTRIB is 1.
    """
    name = f"{PACKAGE.replace('-', '_')}-{version(PACKAGE)}"
    archive = cache_directory() / f"{name}.tar.gz"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        command = ["download", "-q", "--no-deps", "--no-binary", PACKAGE, f"{PACKAGE}=={version(PACKAGE)}"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *command, "-d", str(archive.parent)], capture_output=True, text=True
        )
        if done.returncode:
            problem = f"{PACKAGE} {version(PACKAGE)} could not be downloaded: {done.stderr.strip()[-300:]}"
            if REQUIRED:
                pytest.fail(problem)
            pytest.skip(problem)
    unpacked = tmp_path_factory.mktemp("contrib")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member) if member.name.startswith(f"{name}/tests/") else None
            if content is not None:
                # Under another name: `tests` is our own package.
                place = unpacked / SUITE / Path(member.name).relative_to(f"{name}/tests")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())
    return unpacked


def run(suite: Path, counts: Path, *options: str) -> tuple[int, int, str]:
    """Run the suite and return how many tests passed and were skipped, and its output."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, *options, SUITE],
        cwd=suite,
        env={**clean, "PYTHONPATH": str(ROOT), "CONTRIB_COUNTS": str(counts)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = {
        kind: int(count) for count, kind in re.findall(r"(\d+) (passed|skipped|failed|error)", done.stdout)
    }
    assert not found.keys() & {"failed", "error"}, done.stdout[-5000:]
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return found["passed"], found.get("skipped", 0), done.stdout


def test_contribs_tests_pass_with_tracking_in_every_request_of_theirs(suite: Path, tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    alone = run(suite, counts)

    passed, skipped, _ = run(suite, counts, "-p", "tests.flask.contrib_plugin")

    assert (passed, skipped) == alone[:2]
    assert passed >= 60
    counted = json.loads(counts.read_text())
    assert counted["annotated"] == counted["served"] > 100
