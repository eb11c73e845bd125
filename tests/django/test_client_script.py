"""The script in a real browser, on a page of a real Django site, under the launcher: what is stored in the end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from otel_usage.clickhouse import ClickHouse
from tests.client_api.browsing import needs_browser, running_browser
from tests.flask.launching import ROOT, Launched, launched
from tests.flask.test_launcher import QUIET
from tests.serving import ServeProcess, wait_for

pytestmark = needs_browser

GUNICORN = ["gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "django.core.wsgi:get_wsgi_application()"]
MAKE_USER = "import django; django.setup(); from django.contrib.auth import get_user_model as m; m().objects.create_user('ann')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A site with a user; returns what a process needs in its environment to serve it."""
    folder = tmp_path_factory.mktemp("site")
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.django.project.settings",
        "TEST_SITE_DATABASE": str(folder / "site.sqlite3"),
    }
    for command in (["-m", "django", "migrate", "--run-syncdb", "-v", "0"], ["-c", MAKE_USER]):
        subprocess.run(
            [sys.executable, *command],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OTEL_USAGE_DISABLED": "true", **environ},
            check=True,
        )
    return environ


@pytest.fixture(scope="module")
def server(
    serve: ServeProcess,
    _migrated_database: ClickHouse,
    site: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Launched]:
    environ = {
        **QUIET,
        **site,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_USAGE_DSN": serve.dsn_of(_migrated_database.dsn.database),
        "OTEL_USAGE_FLUSH_INTERVAL_SECONDS": "0.1",
    }
    with launched(GUNICORN, environ, tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture
def context(browser: Browser, server: Launched) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=f"http://localhost:{server.port}")
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    page = context.new_page()
    # A script error would be the site's to see.
    page.on("pageerror", lambda error: pytest.fail(f"the script raised: {error}"))
    return page


def activities(usage: ClickHouse) -> list[str]:
    """Return what the pages were, in order, with the parts of their addresses that differ."""
    rows = usage.query(
        "SELECT concat(path, if(query = '', '', concat('?', query)), "
        "if(properties['fragment'] = '', '', concat('#', properties['fragment']))) "
        "FROM events WHERE event_name = 'activity' ORDER BY timestamp"
    ).rows
    return [row[0] for row in rows]


def expect(usage: ClickHouse, *pages: str) -> None:
    wait_for(lambda: len(activities(usage)) >= len(pages), f"{len(pages)} activities", 30)
    assert activities(usage) == list(pages)


def step(usage: ClickHouse, page: Page, script: str, count: int) -> None:
    """Run a script in the page, and wait until so many activities are stored: beacons may overtake each other."""
    page.evaluate(script)
    wait_for(lambda: len(activities(usage)) >= count, f"activity {count}", 30)


def test_a_visit_of_a_single_page_app_is_stored_page_by_page(usage: ClickHouse, page: Page) -> None:
    page.goto("/app/start?a=1")
    step(usage, page, "0", 1)
    step(usage, page, "history.pushState({}, '', '/app/list')", 2)
    step(usage, page, "history.replaceState({}, '', '/app/list?page=2')", 3)
    step(usage, page, "history.pushState({}, '', '/app/item')", 4)
    step(usage, page, "history.back()", 5)
    step(usage, page, "location.hash = '/cart'", 6)
    step(usage, page, "location.hash = '/pay'", 7)

    expect(
        usage,
        "/app/start?a=1",
        "/app/list",
        "/app/list?page=2",
        "/app/item",
        "/app/list?page=2",
        "/app/list?page=2#/cart",
        "/app/list?page=2#/pay",
    )
    rows = usage.query(
        "SELECT uniqExact(visit_key), uniqExact(visitor_id), groupUniqArray(service_name), "
        "groupArrayIf(path, event_name = 'request'), sum(visit_is_new), countIf(host = 'localhost'), "
        "countIf(event_name = 'activity' AND abs(toFloat64OrZero(properties['client_skew_seconds'])) < 60) "
        "FROM events"
    ).rows
    assert rows == [(1, 1, ["shop"], ["/app/start"], 1, 8, 7)]


def test_each_page_says_from_which_one_the_visitor_came(usage: ClickHouse, page: Page) -> None:
    page.goto("/app/start")
    step(usage, page, "0", 1)
    step(usage, page, "history.pushState({}, '', '/app/list')", 2)

    rows = usage.query(
        "SELECT path(referrer) FROM events WHERE event_name = 'activity' ORDER BY timestamp"
    ).rows
    assert rows == [("",), ("/app/start",)]


def test_the_same_address_again_is_no_further_page(usage: ClickHouse, page: Page) -> None:
    page.goto("/app/start")
    page.evaluate("history.replaceState({}, '', location.href); history.pushState({}, '')")
    step(usage, page, "history.pushState({}, '', '/app/end')", 2)

    assert sorted(activities(usage)) == ["/app/end", "/app/start"]


def test_a_script_that_is_loaded_twice_tells_of_each_page_once(usage: ClickHouse, page: Page) -> None:
    page.goto("/app/start")
    page.add_script_tag(url="/usage/client.js")
    page.evaluate("history.pushState({}, '', '/app/list')")
    step(usage, page, "usageLog('/app/end')", 3)

    assert sorted(activities(usage)) == ["/app/end", "/app/list", "/app/start"]


def test_a_page_that_comes_back_from_the_browsers_cache_is_viewed_again(
    usage: ClickHouse, page: Page
) -> None:
    page.goto("/app/start")
    step(usage, page, "0", 1)
    step(usage, page, "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))", 2)

    assert activities(usage) == ["/app/start", "/app/start"]


def test_a_page_that_is_left_at_once_is_stored_all_the_same(usage: ClickHouse, page: Page) -> None:
    page.goto("/app/start")
    page.evaluate("addEventListener('pagehide', () => usageLog('/app/left'))")
    page.evaluate("history.pushState({}, '', '/app/last'); document.getElementById('link').click()")
    page.wait_for_url("**/item/7/")

    wait_for(lambda: len(activities(usage)) >= 3, "three activities", 30)
    assert sorted(activities(usage)) == ["/app/last", "/app/left", "/app/start"]


def test_a_page_that_is_closed_at_once_is_stored_all_the_same(usage: ClickHouse, page: Page) -> None:
    page.goto("/app/start")
    page.evaluate("addEventListener('pagehide', () => usageLog('/app/left'))")
    page.evaluate("history.pushState({}, '', '/app/last')")
    page.close()

    wait_for(lambda: len(activities(usage)) >= 3, "three activities", 30)
    assert sorted(activities(usage)) == ["/app/last", "/app/left", "/app/start"]


def test_a_browser_that_is_signed_in_is_stored_with_its_user(usage: ClickHouse, page: Page) -> None:
    page.goto("/login/ann/")
    page.goto("/app/start")
    step(usage, page, "0", 1)

    (user_id,), *_ = usage.query("SELECT user_id FROM events WHERE event_name = 'activity'").rows
    assert user_id == "1"


def test_a_browser_with_global_privacy_control_sends_nothing(
    usage: ClickHouse, context: BrowserContext, page: Page
) -> None:
    context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    context.set_extra_http_headers({"Sec-GPC": "1"})
    calls: list[str] = []
    page.on("request", lambda request: calls.append(request.url.rpartition("/usage/")[2]))

    page.goto("/app/start")
    page.evaluate("history.pushState({}, '', '/app/list'); usageLog('/app/step')")

    assert "client.js" in calls
    assert "log/" not in calls
    assert context.cookies() == []


def test_a_page_of_another_site_cannot_call(
    usage: ClickHouse, server: Launched, context: BrowserContext
) -> None:
    page = context.new_page()
    # Another host to the browser, the same server.
    page.goto(f"http://127.0.0.1:{server.port}/item/7/")
    forged = (
        f"fetch('http://localhost:{server.port}/usage/log/', {{method: 'POST', mode: 'no-cors', credentials: 'include',"
        " body: JSON.stringify({date: new Date().toISOString(), path: '/forged'})})"
    )
    with page.expect_response("**/usage/log/") as answer:
        page.evaluate(forged)

    assert answer.value.status == 403
