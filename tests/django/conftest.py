"""Tracking in a Django site, and a browser for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from otel_usage.clickhouse import ClickHouse
from tests.tracking import Tracking, clean_process


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch, site: None) -> Iterator[Tracking]:
    with clean_process(monkeypatch):
        yield Tracking(monkeypatch)


@pytest.fixture
def client(site: None) -> Client:
    """A browser with cookies of its own."""
    return Client()


@pytest.fixture
def asking(usage: ClickHouse, tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> ClickHouse:
    """Let a site that tracks nothing ask the database of the test."""
    monkeypatch.setenv("OTEL_USAGE_DSN", usage.dsn.masked)
    return usage
