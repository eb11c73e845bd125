"""`TrackUsage` with the launcher and without: a program of its own ends, and every storage has every request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flask.launching import LAUNCHER, ROOT

QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
NOWHERE = "http://127.0.0.1:1/otel_usage"


@pytest.mark.parametrize(
    ("command", "more", "exporter"),
    [
        pytest.param([], {}, "DiscardExporter", id="alone"),
        pytest.param(
            [LAUNCHER], {"OTEL_USAGE_EXPORTER": "none"}, "DiscardExporter", id="launched, to nowhere"
        ),
        pytest.param(
            [LAUNCHER], {"OTEL_USAGE_DSN": NOWHERE}, "ClickHouseSpanExporter", id="launched, with a DSN"
        ),
    ],
)
def test_storages_have_every_request_when_a_program_has_ended(
    tmp_path: Path, command: list[str], more: dict[str, str], exporter: str
) -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "_OTEL_"))}

    done = subprocess.run(
        [*command, sys.executable, "-m", "tests.flask.launched_extension"],
        env={**clean, **QUIET, **more, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert sorted(done.stdout.splitlines()) == sorted(
        [exporter, '["/", 200, {"seen": "home"}, true]', '["/nowhere", 404, {}, true]']
    )
