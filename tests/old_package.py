"""For tests that run Flask-Track-Usage itself, to compare what it does with what ours does."""

from __future__ import annotations

import pytest

from tests.benchmarks import old_package
from tests.contrib_suites import REQUIRED


def old_environment() -> dict[str, str]:
    """Return the environment of a process that has the old package; the test is skipped where it is not installed.

    With OTEL_USAGE_REQUIRE_CONTRIB=1 it is installed, and the test fails where it cannot be.
    """
    if not REQUIRED and not old_package.is_installed():
        pytest.skip(
            "Flask-Track-Usage is not installed: run python -m tests.benchmarks --only track_usage_cost"
        )
    try:
        return old_package.environment()
    except old_package.NotInstalled as error:
        pytest.fail(f"Flask-Track-Usage could not be installed: {error}")
