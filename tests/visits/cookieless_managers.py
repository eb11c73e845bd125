"""Cookieless managers for the tests, each with files in a directory of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel_usage.model import RequestFacts
from otel_usage.settings import Settings
from otel_usage.visits import cookieless, shared_directory, shared_state, stripe_lock
from otel_usage.visits.cookieless import CookielessVisitManager
from otel_usage.visits.manager import VisitRequest, VisitState
from otel_usage.visits.visit import Visit
from tests.visits.cookies import Clock

ADDRESS = "192.0.2.1"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


def have_patience(patch: pytest.MonkeyPatch) -> None:
    """Let managers wait for their files, however busy the machine is: going on without them may cost a visit."""
    patch.setattr(cookieless, "_START_PATIENCE_SECONDS", 60.0)
    patch.setattr(shared_state, "_SALT_PATIENCE_SECONDS", 60.0)
    patch.setattr(shared_directory, "_PATIENCE_SECONDS", 60.0)


def wait_for_each_other(patch: pytest.MonkeyPatch) -> None:
    """Let workers wait for one that loses its turn while it opens a visit."""
    patch.setattr(stripe_lock, "_PATIENCE_SECONDS", 60.0)


@pytest.fixture
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where salts and visits lie; without it, tests would meet each other's visitors."""
    have_patience(monkeypatch)
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    return path


@contextmanager
def cookieless_manager(
    clock: Clock, service_name: str = "shop", **settings: object
) -> Iterator[CookielessVisitManager]:
    """Give a manager, and end its thread after the block, as the end of a worker does."""
    manager = CookielessVisitManager()
    manager.set_up(Settings.load({}, **settings), "secret", service_name=service_name, clock_ms=clock)
    try:
        yield manager
    finally:
        manager.close(10)


def state_of(
    manager: CookielessVisitManager, address: str = ADDRESS, agent: str = AGENT, cookie: str = ""
) -> VisitState:
    facts = RequestFacts("GET", "http", "shop.example", "/", "", address, user_agent=agent, cookie=cookie)
    state = manager.visit_for_request(VisitRequest(facts, address))
    assert state is not None
    return state


def visit(manager: CookielessVisitManager, address: str = ADDRESS, agent: str = AGENT) -> Visit:
    return state_of(manager, address, agent).visit


def files_of(runtime_directory: Path) -> set[str]:
    return {path.name for path in runtime_directory.glob("otel-usage-*/*")}
