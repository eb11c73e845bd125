"""The log call in Django: the same answers as in Flask, and the users of Django and of REST framework."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django.template import Context, Template
from django.test import AsyncClient, Client, modify_settings, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

from otel_usage import attributes as names
from tests.client_api.calls import FORM, JSON, REFUSED, TAKEN, Refused, Taken, as_form, as_json, fields
from tests.tracking import Tracking

LOG = "/usage/log/"
SCRIPT = "/usage/client.js"

without_rest_framework = modify_settings(
    INSTALLED_APPS={"remove": ["rest_framework", "rest_framework.authtoken"]}
)


@pytest.fixture(params=["with contrib", "without contrib", "contrib, trace not sampled"])
def mode(request: pytest.FixtureRequest, tracking: Tracking) -> Callable[..., None]:
    """Start tracking in each of three ways."""

    def start(**settings: object) -> None:
        sampler: Sampler | None = ALWAYS_OFF if "not sampled" in request.param else None
        tracking.start(sampler, **settings)
        if request.param != "without contrib":
            DjangoInstrumentor().instrument()

    return start


def log(client: Client, body: bytes | None = None, content_type: str = JSON, **headers: str) -> Any:
    # Browsers as strict as a site makes them, and a client that has no token to send.
    return client.generic("POST", LOG, as_json() if body is None else body, content_type, headers=headers)


def new_user(name: str) -> Any:
    model: Any = get_user_model()
    return model.objects.create_user(name)


def signed_in(name: str = "ann", **arguments: Any) -> tuple[Client, str]:
    """Return a browser in which a new user is signed in, and the user's key."""
    user = new_user(name)
    client = Client(**arguments)
    client.force_login(user)
    return client, str(user.pk)


def users(tracking: Tracking) -> list[object]:
    return [event.attributes.get(names.USER_ID) for event in tracking.events("activity")]


@pytest.mark.parametrize("taken", TAKEN, ids=lambda taken: taken.name)
def test_every_kind_of_body_is_answered_204_and_recorded(
    tracking: Tracking, client: Client, taken: Taken
) -> None:
    tracking.start()

    response = log(client, taken.body, taken.content_type, referer="http://testserver/app/")

    assert (response.status_code, response.content) == (204, b"")
    (event,) = tracking.events("activity")
    assert event.attributes[names.PATH] == taken.path


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_what_is_wrong_is_told_and_not_recorded(tracking: Tracking, client: Client, refused: Refused) -> None:
    tracking.start()

    response = log(client, refused.body, refused.content_type)

    assert (response.status_code, json.loads(response.content)) == (refused.status, refused.answer)
    assert response.headers["Content-Type"] == "application/json"
    assert not response.cookies
    assert tracking.events() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(tracking: Tracking, client: Client, method: str) -> None:
    tracking.start()

    response = client.generic(method, LOG)

    assert (response.status_code, response.headers["Allow"]) == (405, "POST, OPTIONS")
    assert method == "HEAD" or json.loads(response.content) == {"detail": f'Method "{method}" not allowed.'}
    assert tracking.events() == []


def test_options_is_answered_200(tracking: Tracking, client: Client) -> None:
    tracking.start()

    response = client.options(LOG)

    assert (response.status_code, response.headers["Allow"]) == (200, "POST, OPTIONS")


def test_the_urls_have_their_names(site: None) -> None:
    assert reverse("activity_detail") == LOG
    assert reverse("usage_script") == SCRIPT


def test_a_template_loads_the_script(site: None) -> None:
    page = Template("{% load usage_client %}{% usage_script %}").render(Context())

    assert page == f'<script src="{SCRIPT}" defer></script>'


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_activity_has_the_page_and_the_visit_of_the_call(
    tracking: Tracking, mode: Callable[..., None], kind: str
) -> None:
    mode()
    body = as_json(path="/app/cart?token=x#/pay", referer="https://search.example/")
    if kind == "sync":
        client = Client()
        client.get("/")
        log(client, body)
    else:

        async def browse() -> None:
            browser = AsyncClient()
            await browser.get("/")
            await browser.generic("POST", LOG, body, JSON)

        asyncio.run(browse())

    request = tracking.request()
    (event,) = tracking.events("activity")
    for shared in (names.VISIT_KEY, names.VISITOR_ID, names.CLIENT_ADDRESS, names.USER_AGENT):
        assert event.attributes[shared] == request.attributes[shared]
    assert event.attributes[names.PATH] == "/app/cart"
    assert event.attributes[names.QUERY] == "token=REDACTED"
    assert event.attributes[names.REFERRER_DOMAIN] == "search.example"
    assert event.attributes["usage.property.url"] == "http://testserver/app/cart?token=REDACTED#/pay"
    assert event.attributes["usage.property.fragment"] == "/pay"


def test_the_call_itself_is_no_request_and_is_counted(
    tracking: Tracking, mode: Callable[..., None], client: Client
) -> None:
    mode()

    log(client)

    assert [event.name for event in tracking.events()] == ["activity"]
    assert tracking.accounting().filtered == {"client_api": 1}


def test_the_first_call_of_a_client_opens_its_visit_and_an_existing_one_stays(
    tracking: Tracking, mode: Callable[..., None], client: Client
) -> None:
    mode()

    first = log(client)
    second = log(client)

    assert "otel_usage_visit" in first.cookies
    assert not second.cookies
    events = tracking.events("activity")
    assert len({event.attributes[names.VISIT_KEY] for event in events}) == 1
    assert [event.attributes.get(names.VISIT_IS_NEW, False) for event in events] == [True, False]


def test_each_manager_of_visits_keeps_the_visit_of_a_client(tracking: Tracking, client: Client) -> None:
    tracking.start(visit_manager="session")

    log(client)
    log(client)

    keys = {event.attributes[names.VISIT_KEY] for event in tracking.events("activity")}
    assert len(keys) == 1


def test_a_missing_path_is_that_of_the_referer_header(tracking: Tracking, client: Client) -> None:
    tracking.start()

    log(client, json.dumps({"date": fields()["date"]}).encode(), referer="http://testserver/app/list?page=2")

    (event,) = tracking.events("activity")
    assert event.attributes[names.PATH] == "/app/list"
    assert event.attributes["usage.property.url"] == "http://testserver/app/list?page=2"


def test_a_browser_that_is_signed_in_needs_no_token(tracking: Tracking) -> None:
    tracking.start()
    client, key = signed_in(enforce_csrf_checks=True)

    response = log(client, origin="http://testserver")

    assert response.status_code == 204
    assert users(tracking) == [key]


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}], ids=str
)
def test_a_page_of_another_site_cannot_use_the_browser_of_a_user(
    tracking: Tracking, headers: dict[str, str]
) -> None:
    tracking.start()
    client, _ = signed_in()

    response = log(client, None, JSON, **headers)

    assert response.status_code == 403
    assert json.loads(response.content)["detail"].startswith("Origin check failed")
    assert tracking.events("activity") == []


def test_a_host_that_the_site_does_not_have_is_refused(tracking: Tracking, client: Client) -> None:
    tracking.start()

    assert log(client, host="evil.example", origin="https://evil.example").status_code in (400, 403)
    assert tracking.events("activity") == []


def test_a_user_of_django_is_known_without_rest_framework(tracking: Tracking) -> None:
    tracking.start()
    client, key = signed_in()

    with without_rest_framework:
        log(client)
        log(Client())

    assert users(tracking) == [key, None]


def test_a_user_of_a_session_or_a_token_is_known_with_rest_framework(tracking: Tracking) -> None:
    tracking.start()
    client, ann = signed_in("ann")
    bob = new_user("bob")
    token = apps.get_model("authtoken", "Token").objects.create(user=bob)

    log(client)
    log(Client(), authorization=f"Token {token.key}")
    log(client, authorization=f"Token {token.key}")
    log(Client())

    assert users(tracking) == [ann, str(bob.pk), str(bob.pk), None]


@pytest.mark.parametrize("header", ["Token wrong", "Token a b", "Token \xff", "Token", "Basic x", "\0"])
def test_credentials_that_are_not_valid_are_nobodys_and_lose_no_activity(
    tracking: Tracking, client: Client, header: str
) -> None:
    tracking.start()

    assert log(client, authorization=header).status_code == 204
    assert users(tracking) == [None]


@pytest.mark.parametrize("has_rest_framework", [True, False])
def test_a_client_without_credentials_costs_no_statement(
    tracking: Tracking, client: Client, has_rest_framework: bool
) -> None:
    tracking.start()
    removed = [] if has_rest_framework else ["rest_framework"]

    with modify_settings(INSTALLED_APPS={"remove": removed}), CaptureQueriesContext(connection) as queries:
        assert log(client).status_code == 204
        assert log(client).status_code == 204

    assert queries.captured_queries == []


def test_a_client_that_is_signed_in_costs_what_its_user_costs_in_any_view(tracking: Tracking) -> None:
    tracking.start()
    client, _ = signed_in()

    with CaptureQueriesContext(connection) as of_a_view:
        client.get("/who/")
    with CaptureQueriesContext(connection) as of_ours:
        log(client)

    assert len(of_ours) == len(of_a_view) == 2


@pytest.mark.parametrize(
    "settings", [{"user": "off"}, {"user": lambda request: "mine"}], ids=["off", "a function"]
)
def test_where_the_settings_say_who_the_user_is_the_site_is_not_asked(
    tracking: Tracking, settings: dict[str, Any]
) -> None:
    tracking.start(**settings)
    client, _ = signed_in()

    with CaptureQueriesContext(connection) as queries:
        log(client)

    assert len(queries) == 0
    assert users(tracking) == [None if settings["user"] == "off" else "mine"]


def test_who_opted_out_is_answered_and_counted_without_visit_and_user(tracking: Tracking) -> None:
    tracking.start()
    client, _ = signed_in()

    with CaptureQueriesContext(connection) as queries:
        response = log(client, sec_gpc="1")

    assert response.status_code == 204
    assert "otel_usage_visit" not in response.cookies
    (event,) = tracking.events("activity")
    assert names.VISIT_KEY not in event.attributes
    assert names.USER_ID not in event.attributes
    assert len(queries) == 0


def test_the_visit_of_a_client_outlasts_its_login_and_logout(tracking: Tracking, client: Client) -> None:
    tracking.start()
    new_user("ann")

    log(client)
    client.get("/login/ann/")
    log(client)
    client.get("/logout/")
    log(client)

    events = tracking.events("activity")
    assert len({event.attributes[names.VISIT_KEY] for event in events}) == 1
    assert [names.USER_ID in event.attributes for event in events] == [False, True, False]


def test_two_devices_of_a_user_are_two_visits_with_agents_of_their_own(tracking: Tracking) -> None:
    tracking.start()
    client, key = signed_in()
    other = Client()
    other.force_login(get_user_model().objects.get(pk=key))

    log(client, user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0")
    log(other, user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148 Safari/604.1")

    first, second = tracking.events("activity")
    assert first.attributes[names.USER_ID] == second.attributes[names.USER_ID] == key
    assert first.attributes[names.VISIT_KEY] != second.attributes[names.VISIT_KEY]
    assert [first.attributes[names.DEVICE_TYPE], second.attributes[names.DEVICE_TYPE]] == [
        "desktop",
        "mobile",
    ]


@pytest.mark.parametrize("agent", ["x" * 5000, "\xff\xfe", ""])
def test_no_user_agent_is_too_long_or_too_odd(tracking: Tracking, client: Client, agent: str) -> None:
    tracking.start()

    assert log(client, user_agent=agent).status_code == 204
    assert len(str(tracking.events("activity")[0].attributes[names.USER_AGENT])) <= names.MAX_TEXT


def test_a_client_behind_a_trusted_proxy_has_its_own_address(tracking: Tracking, client: Client) -> None:
    tracking.start(trusted_proxies="127.0.0.1/32")

    log(client, x_forwarded_for="203.0.113.7")

    assert tracking.events("activity")[0].attributes[names.CLIENT_ADDRESS] == "203.0.113.7"


def test_too_many_calls_of_one_address_are_told_when_to_come_again(
    tracking: Tracking, client: Client
) -> None:
    tracking.start(client_api_calls_per_minute=2)

    answers = [log(client) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert int(answers[2].headers["Retry-After"]) > 0
    assert len(tracking.events("activity")) == 2


def test_eighty_first_calls_at_once_are_all_answered(tracking: Tracking) -> None:
    tracking.start()

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(lambda _: log(Client(), as_form(), FORM).status_code, range(80)))

    assert statuses == [204] * 80
    assert len(tracking.events("activity")) == 80


@pytest.mark.parametrize(
    "headers", [{"content_length": "99999999999"}, {"content_length": "many"}, {}], ids=str
)
def test_lengths_that_lie_are_no_error_of_ours(
    tracking: Tracking, client: Client, headers: dict[str, str]
) -> None:
    tracking.start()
    lie = {name.upper(): value for name, value in headers.items()} or {"CONTENT_LENGTH": ""}

    response = client.generic("POST", LOG, as_json(), JSON, **lie)  # type: ignore[arg-type]

    assert response.status_code == (413 if "99999999999" in headers.values() else 400)


@pytest.mark.parametrize("source", ["cookie", "form"])
def test_a_form_that_others_read_before_is_read_all_the_same(
    tracking: Tracking, client: Client, source: str
) -> None:
    tracking.start(visit_sources=source)

    assert log(client, as_form(), FORM).status_code == 204


@override_settings(
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
)
def test_a_site_for_members_alone_still_takes_the_calls_of_everybody(tracking: Tracking) -> None:
    tracking.start()

    assert log(Client()).status_code == 204
    assert Client().get(SCRIPT).status_code == 200


@override_settings(MIDDLEWARE=[])
def test_a_site_without_sessions_and_users_takes_calls_too(tracking: Tracking) -> None:
    tracking.start()

    assert log(Client()).status_code == 204
    assert users(tracking) == [None]


@pytest.mark.parametrize("engine", ["cache", "signed_cookies", "file"])
def test_every_kind_of_session_will_do(tracking: Tracking, engine: str) -> None:
    tracking.start()

    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        client, key = signed_in()
        assert log(client).status_code == 204

    assert users(tracking) == [key]


def test_where_only_included_views_are_tracked_the_call_is_one(tracking: Tracking, client: Client) -> None:
    tracking.start(track="included")

    log(client)

    assert len(tracking.events("activity")) == 1


def test_the_script_may_be_kept_and_comes_without_cookie_and_event(
    tracking: Tracking, client: Client
) -> None:
    tracking.start()

    first = client.get(SCRIPT)
    again = client.get(SCRIPT, headers={"if-none-match": first.headers["ETag"]})

    assert (first.status_code, again.status_code) == (200, 304)
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert first.headers["Cache-Control"] == "public, max-age=3600"
    assert "Vary" not in first.headers
    assert not first.cookies
    assert tracking.events() == []
    assert tracking.accounting().filtered == {"client_script": 2}
