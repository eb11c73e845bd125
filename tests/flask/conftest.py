from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tracking import Tracking, clean_process


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    with clean_process(monkeypatch):
        yield Tracking(monkeypatch)
