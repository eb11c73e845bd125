"""The signed-in user is read passively, in every framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from otel_usage import attributes as names
from tests.frameworks.shops import Shop
from tests.tracking import Tracking


@pytest.fixture(autouse=True)
def _a_user(site: None) -> None:
    get_user_model().objects.create(pk=7, username="7")


def users(tracking: Tracking) -> list[object]:
    return [event.attributes.get(names.USER_ID) for event in tracking.events("request")]


def test_the_user_whom_the_view_has_loaded_is_named(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start()
    browser = shop.browser()

    for path in ("/login/7/", "/who/", "/logout/", "/who/"):
        assert browser.get(path).status_code == 200

    assert users(tracking) == ["7", "7", None, None]


def test_a_view_that_does_not_ask_for_the_user_loads_none(tracking: Tracking, shop: Shop) -> None:
    tracking.start()
    browser = shop.browser()
    browser.get("/login/7/")

    browser.get("/item/7/")

    assert users(tracking) == ["7", None]


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
def test_a_user_who_opts_out_is_not_named(tracking: Tracking, shop: Shop, header: str) -> None:
    tracking.start()

    shop.get("/login/7/", headers={header: "1"})

    assert users(tracking) == [None]


def test_switched_off_no_user_is_named(tracking: Tracking, shop: Shop) -> None:
    tracking.start(user="off")

    shop.get("/login/7/")

    assert users(tracking) == [None]


def test_a_function_of_the_app_names_the_user(tracking: Tracking, shop: Shop) -> None:
    def by_header(request: Any) -> object:
        return request.headers.get("X-User")

    tracking.start(user=by_header)
    browser = shop.browser()

    browser.get("/events/", headers={"X-User": "ann"})
    browser.get("/events/")

    assert users(tracking) == ["ann", None]
    assert [event.attributes.get(names.USER_ID) for event in tracking.events("asked")] == ["ann", None]


def test_a_function_that_raises_costs_the_user_id_alone(tracking: Tracking, shop: Shop) -> None:
    def broken(request: object) -> str:
        raise RuntimeError("of the app")

    tracking.start(user=broken)

    assert shop.get("/").data == b"home"
    assert users(tracking) == [None]
    assert tracking.request().attributes[names.VISIT_KEY]


@pytest.mark.parametrize(
    ("path", "user"), [("/", "ann"), ("/private/", None), ("/forbidden/", None), ("/nowhere/", None)]
)
def test_basic_authentication_names_whom_the_app_did_not_refuse(
    tracking: Tracking, shop: Shop, path: str, user: str | None
) -> None:
    tracking.start(basic_auth_users=True)

    shop.get(path, auth=("ann", "hunter2"))

    assert users(tracking) == [user]
    assert "hunter2" not in str([event.attributes for event in tracking.events()])
