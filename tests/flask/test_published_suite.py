"""Flask-Track-Usage's own published tests pass, unmodified, with our compatibility module under its name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests import contrib_suites

NAME = "Flask-Track-Usage-2.0.0"
MODULES = ("test_data.py", "test_include_exclude.py", "test_blueprints_include_exclude.py")


def test_the_published_tests_of_flask_track_usage_pass_unmodified(tmp_path: Path) -> None:
    # pip reads the metadata of what it downloads, and that of this one asks for sphinx.
    archive = contrib_suites.download("Flask-Track-Usage", "2.0.0", NAME, builds="setuptools>=77")
    contrib_suites.unpack_folder(archive, f"{NAME}/test", tmp_path / "old_suite")
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))}

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
        + ["-p", "tests.flask.old_names_plugin", *(f"old_suite/{module}" for module in MODULES)],
        cwd=tmp_path,
        env={**clean, "PYTHONPATH": str(contrib_suites.ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])[0] == ("8", "passed"), done.stdout[-500:]
