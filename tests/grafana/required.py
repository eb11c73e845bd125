"""What a test does without a tool that it needs: it is skipped, or, where everything must be there, it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRED = "OTEL_USAGE_REQUIRE_GRAFANA"
"""Environment variable: with 1, a missing tool fails the tests that want it."""


def is_missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where `REQUIRED` says so."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(reason)
    pytest.skip(reason)
