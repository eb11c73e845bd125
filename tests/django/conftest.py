"""Tracking in a Django site, and a browser for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from tests.tracking import Tracking, clean_process


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch, site: None) -> Iterator[Tracking]:
    with clean_process(monkeypatch):
        yield Tracking(monkeypatch)


@pytest.fixture
def client(site: None) -> Client:
    """A browser with cookies of its own."""
    return Client()
