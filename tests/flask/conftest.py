from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_usage.flask import handover
from tests.tracking import Tracking, clean_process


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    # However busy the machine is.
    monkeypatch.setattr(handover, "WAIT_SECONDS", 60.0)
    with clean_process(monkeypatch):
        yield Tracking(monkeypatch)
