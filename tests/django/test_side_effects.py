"""No SQL statement, no header and no write of a session comes from tracking: counted on every connection of Django."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.contrib.auth import get_user_model
from django.db.backends.utils import CursorWrapper
from django.test import AsyncClient, Client, override_settings
from opentelemetry.instrumentation.django import DjangoInstrumentor

from tests.frameworks.shops import DJANGO_URLS
from tests.tracking import Tracking, untracked
from tests.visits.cookieless_managers import runtime_directory

__all__ = ["runtime_directory"]

# Not those that sign in and out: there, the app `otel_usage.django` keeps the table of live sessions.
PATHS = (
    "/",
    "/item/7/",
    "/async-item/7/",
    "/who/",
    "/stream/",
    "/nowhere/",
    "/broken/",
    "/excluded/",
    "/theme/",
)
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


class Seen(NamedTuple):
    """What a page cost and said, but for our cookie."""

    statements: list[str]
    headers: list[tuple[str, str]]
    cookies: list[str]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that Django sends, of all connections and threads."""
    sent: list[str] = []
    execute = CursorWrapper.execute

    def counted(self: CursorWrapper, sql: Any, params: Any = None) -> Any:
        sent.append(" ".join(str(sql).split()[:4]))
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", counted)
    return sent


@pytest.fixture
def ann(site: None) -> Any:
    with override_settings(ROOT_URLCONF=DJANGO_URLS):
        yield get_user_model().objects.create(username="ann")


def visit(statements: list[str], is_async: bool, user: Any) -> dict[str, Seen]:
    """Ask for every page in turn, twice each, and return what each second request saw."""
    seen = {}
    for path in PATHS:
        client: Any = (AsyncClient if is_async else Client)(raise_request_exception=False)
        if user is not None:
            client.force_login(user)
        for _ in range(2):
            statements.clear()
            response = asyncio.run(client.get(path)) if is_async else client.get(path)
            response.close()
        seen[path] = Seen(
            list(statements),
            sorted((name, text) for name, text in response.items()),
            sorted(name for name in response.cookies if name != "otel_usage_visit"),
        )
    return seen


@pytest.mark.parametrize("manager", ["cookie", "cookieless", "sqlalchemy"])
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "anonymous"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_no_statement_and_no_header_is_added(
    tracking: Tracking,
    statements: list[str],
    ann: Any,
    runtime_directory: Path,
    tmp_path: Path,
    manager: str,
    signed_in: bool,
    is_async: bool,
) -> None:
    user = ann if signed_in else None
    with untracked():
        expected = visit(statements, is_async, user)
    tracking.start(visit_manager=manager, visit_database=f"sqlite:///{tmp_path}/visits.db")
    DjangoInstrumentor().instrument()

    seen = visit(statements, is_async, user)

    assert seen == expected
    assert len(tracking.events("request")) == 2 * (len(PATHS) - 1)
    assert any(page.statements for page in expected.values()) == signed_in
    assert expected["/item/7/"].statements == []
    assert not any(name == "Vary" for name, _ in expected["/item/7/"].headers)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_visits_in_the_session_cost_what_the_session_costs(
    tracking: Tracking, statements: list[str], ann: Any, is_async: bool
) -> None:
    tracking.start(visit_manager="session")
    client: Any = AsyncClient() if is_async else Client()

    def ask() -> list[str]:
        statements.clear()
        response = asyncio.run(client.get("/item/7/")) if is_async else client.get("/item/7/")
        assert response.status_code == 200
        return [statement.split()[0] for statement in statements]

    first, second = ask(), ask()

    assert "INSERT" in first  # it opens one, as documented
    assert second == ["SELECT"]  # and is read from there
    assert [event.attributes["usage.visit.is_new"] for event in tracking.events("request")] == [True, False]


def test_who_the_user_is_is_never_asked_for(tracking: Tracking, statements: list[str], ann: Any) -> None:
    tracking.start()
    client = Client()
    client.force_login(ann)
    statements.clear()

    client.get("/item/7/")
    assert statements == []

    client.get("/who/")
    assert [event.attributes.get("user.id") for event in tracking.events("request")] == [None, str(ann.pk)]
