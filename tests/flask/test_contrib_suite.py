"""The tests of contrib's own Flask instrumentation pass with our tracking in force.

They come with its source distribution, which is downloaded once per version and user. Without an index they
are skipped, unless OTEL_USAGE_REQUIRE_CONTRIB=1.
"""

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

from tests.flask.contrib_plugin import REPORT_VARIABLE

NAME = "opentelemetry-instrumentation-flask"
CACHE = Path.home() / ".cache" / "otel_usage_tests"
SECONDS = 120


def source_archive() -> Path:
    """Return the source distribution of the installed version."""
    installed = version(NAME)
    archive = CACHE / f"{NAME.replace('-', '_')}-{installed}.tar.gz"
    if archive.exists():
        return archive
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", NAME]
    done = subprocess.run(
        [*command, "--dest", CACHE, f"{NAME}=={installed}"], capture_output=True, text=True, timeout=SECONDS
    )
    if not archive.exists():
        reason = f"cannot download the tests of {NAME} {installed}: {done.stderr.strip()[-300:]}"
        if os.environ.get("OTEL_USAGE_REQUIRE_CONTRIB") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return archive


@pytest.fixture
def contrib_project(tmp_path: Path) -> Path:
    with tarfile.open(source_archive()) as archive:
        # Without the filter on Pythons that are older than it; pip has checked the archive's hash.
        if hasattr(tarfile, "data_filter"):
            archive.extractall(tmp_path, filter="data")
        else:
            archive.extractall(tmp_path)
    (project,) = tmp_path.iterdir()
    return project


def run_suite(project: Path, *options: str, **environ: str) -> dict[str, int]:
    """Run the suite with a pytest of its own, and return the number of tests by outcome."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(project)]
    foreign = ("OTEL_", "PYTEST_", "FLASK_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *options, "tests"],
        cwd=project,
        env={**inherited, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environ},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    last_line = done.stdout.strip().splitlines()[-1]
    return {outcome: int(count) for count, outcome in re.findall(r"(\d+) ((?:subtests )?[a-z]+)", last_line)}


def test_contribs_own_tests_pass_with_ours_active(contrib_project: Path, tmp_path: Path) -> None:
    report_path = tmp_path / "report.json"
    bare = run_suite(contrib_project)

    tracked = run_suite(
        contrib_project,
        *("-p", "contrib_plugin"),
        PYTHONPATH=str(Path(__file__).parent),
        **{REPORT_VARIABLE: str(report_path)},
    )

    report = json.loads(report_path.read_text("utf-8"))
    assert tracked == bare
    assert bare["passed"] >= 60
    assert report["finished"] == report["requests"] > 100
    # test_streaming_with_error_in_cleanup puts a mock in the place of what ends contrib's span: it never ends.
    assert report["events"] == report["distinct_events"] == report["requests"] - 1
    # The most of them on contrib's own span: ours stands in only where it has none that records.
    assert report["annotated"] > report["requests"] / 2
