"""Objects viewed: by mixin, decorator, template tag and signal."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from otel_usage.django import DjangoUsageInstrumentor, decorators, get_client_ip
from otel_usage.django.decorators import object_viewed
from otel_usage.django.signals import object_viewed_signal, send_object_viewed
from otel_usage.log_throttle import LogThrottle
from otel_usage.model import Event
from tests.tracking import Tracking


def create(model: str, **values: object) -> Any:
    # By name, because models can be imported only after Django is set up.
    return apps.get_model("shop", model)._default_manager.create(**values)


def viewed(tracking: Tracking) -> list[tuple[Any, Any]]:
    """Return the type and id of every object view, in order."""
    return [
        (event.attributes["usage.object.type"], event.attributes["usage.object.id"])
        for event in tracking.events("object_viewed")
    ]


def view_of(tracking: Tracking) -> Event:
    (event,) = tracking.events("object_viewed")
    return event


@contextmanager
def receiver(function: Callable[..., Any]) -> Iterator[None]:
    object_viewed_signal.connect(function, weak=False)
    try:
        yield
    finally:
        object_viewed_signal.disconnect(function)


# The mixin.


def test_the_mixin_says_which_object_a_detail_page_shows(tracking: Tracking, client: Client) -> None:
    tracking.start()
    product = create("Product", name="Lamp")

    client.get(f"/viewed/product/{product.pk}/")

    assert viewed(tracking) == [("shop.Product", str(product.pk))]


def test_an_object_may_have_a_uuid_for_its_key(tracking: Tracking, client: Client) -> None:
    tracking.start()
    document = create("Document", title="Manual")

    client.get(f"/viewed/document/{document.pk}/")

    assert viewed(tracking) == [("shop.Document", str(document.pk))]


def test_a_page_without_an_object_is_no_view(tracking: Tracking, client: Client) -> None:
    tracking.start()

    assert client.get("/viewed/about/").status_code == 200
    assert client.get("/viewed/product/404/").status_code == 404

    assert viewed(tracking) == []


def test_a_view_has_the_visit_and_agent_of_its_request_and_no_user_before_signing_in(
    tracking: Tracking, client: Client
) -> None:
    tracking.start()
    product = create("Product", name="Lamp")

    client.get(f"/viewed/product/{product.pk}/", headers={"User-Agent": "Firefox"}, REMOTE_ADDR="192.0.2.7")

    found = view_of(tracking).attributes
    assert found["session.id"]
    assert "user.id" not in found
    assert (found["user_agent.original"], found["client.address"]) == ("Firefox", "192.0.2.7")


def test_a_view_has_the_user_whom_the_page_knew(tracking: Tracking, client: Client) -> None:
    tracking.start()
    product = create("Product", name="Lamp")
    user = get_user_model()._default_manager.create(username="ann")
    client.force_login(user)

    with receiver(lambda request, **_: str(request.user)):
        client.get(f"/viewed/product/{product.pk}/")

    assert view_of(tracking).attributes["user.id"] == str(user.pk)


def test_a_signed_in_view_costs_no_query_more_than_the_page(tracking: Tracking, client: Client) -> None:
    tracking.set_up_sdk()
    tracking.configure()
    product = create("Product", name="Lamp")
    client.force_login(get_user_model()._default_manager.create(username="ann"))
    page = f"/viewed/product/{product.pk}/"
    with CaptureQueriesContext(connection) as before:
        client.get(page)

    DjangoUsageInstrumentor().instrument()
    tracked_client = Client()
    tracked_client.cookies = client.cookies
    with CaptureQueriesContext(connection) as after:
        response = tracked_client.get(page)

    assert tracking.request().attributes["http.response.status_code"] == 200
    assert len(after) == len(before)
    assert "Vary" not in response.headers


def test_an_asynchronous_view_may_use_the_mixin(tracking: Tracking) -> None:
    tracking.start()
    product = create("Product", name="Lamp")
    heard: list[object] = []

    async def visit() -> bytes:
        is_heard = asyncio.Event()

        async def listen(instance: object, **_: object) -> None:
            heard.append(instance)
            is_heard.set()

        with receiver(listen):
            response = await AsyncClient().get(f"/viewed/async/{product.pk}/")
            await asyncio.wait_for(is_heard.wait(), 60)
        return response.content

    assert asyncio.run(visit()) == b"Lamp"
    assert heard == [product]
    assert viewed(tracking) == [("shop.Product", str(product.pk))]


# The signal.


def test_anybody_may_send_the_signal(tracking: Tracking) -> None:
    tracking.start()
    product = create("Product", name="Lamp")

    object_viewed_signal.send(type(product), instance=product, request=None)

    assert viewed(tracking) == [("shop.Product", str(product.pk))]


def test_anybody_may_receive_the_signal_by_the_class_of_the_object(
    tracking: Tracking, client: Client
) -> None:
    tracking.start()
    product = create("Product", name="Lamp")
    heard: list[tuple[object, str]] = []

    def listen(sender: type, instance: object, request: Any, **_: object) -> None:
        heard.append((instance, request.path))

    object_viewed_signal.connect(listen, sender=type(product))
    client.get(f"/viewed/product/{product.pk}/")
    client.get(f"/viewed/document/{create('Document', title='Manual').pk}/")
    object_viewed_signal.disconnect(listen, sender=type(product))

    assert heard == [(product, f"/viewed/product/{product.pk}/")]


def test_a_receiver_that_raises_breaks_neither_the_page_nor_the_record(
    tracking: Tracking, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start()
    product = create("Product", name="Lamp")

    def fail(**_: object) -> None:
        raise RuntimeError("of the receiver")

    with receiver(fail), caplog.at_level(logging.ERROR, "django.dispatch"):
        response = client.get(f"/viewed/product/{product.pk}/")

    assert response.status_code == 200
    assert len(viewed(tracking)) == 1
    assert "of the receiver" in caplog.text


def test_a_proxy_is_counted_as_what_it_stands_for(tracking: Tracking) -> None:
    tracking.start()
    bargain = create("Bargain", name="Lamp")

    send_object_viewed(bargain)

    assert viewed(tracking) == [("shop.Product", str(bargain.pk))]


# The decorator.


@pytest.mark.parametrize(("key", "ids"), [("7", ["7"]), ("007", ["7"]), ("404", []), ("302", [])])
def test_a_marked_view_records_what_it_shows_and_only_when_it_does(
    tracking: Tracking, client: Client, key: str, ids: list[str]
) -> None:
    tracking.start()

    with CaptureQueriesContext(connection) as queries:
        client.get(f"/viewed/by-key/{key}/")

    assert viewed(tracking) == [("shop.Product", id_) for id_ in ids]
    assert len(queries) == 0


def test_an_asynchronous_view_is_marked_alike(tracking: Tracking) -> None:
    tracking.start()
    key = uuid.uuid4()

    asyncio.run(AsyncClient().get(f"/viewed/by-named-key/de/{key.hex}/"))

    assert viewed(tracking) == [("shop.Document", str(key))]


def test_the_object_may_be_found_by_a_function(tracking: Tracking, client: Client) -> None:
    tracking.start()
    product = create("Product", name="Lamp")

    client.get("/viewed/by-name/Lamp/")
    client.get("/viewed/by-name/Nothing/")

    assert viewed(tracking) == [("shop.Product", str(product.pk))]


def test_the_object_may_be_found_by_an_asynchronous_function(tracking: Tracking) -> None:
    tracking.start()
    product = create("Product", name="Lamp")

    asyncio.run(AsyncClient().get("/viewed/by-name-later/Lamp/"))

    assert viewed(tracking) == [("shop.Product", str(product.pk))]


def test_an_asynchronous_view_may_have_its_object_found_by_a_plain_function(tracking: Tracking) -> None:
    tracking.start()
    product = create("Product", name="Lamp")

    asyncio.run(AsyncClient().get("/viewed/by-name-plainly/Lamp/"))

    assert viewed(tracking) == [("shop.Product", str(product.pk))]


def test_a_receiver_of_a_marked_view_gets_an_instance_that_loads_what_it_lacks(
    tracking: Tracking, client: Client
) -> None:
    tracking.start()
    product = create("Product", name="Lamp")
    heard: list[str] = []

    def listen(instance: Any, **_: object) -> None:
        heard.append(instance.name)

    with receiver(listen):
        client.get(f"/viewed/by-key/{product.pk}/")

    assert heard == ["Lamp"]


@pytest.mark.parametrize("path", ["two/a/b", "by-key/no-number"])
def test_a_key_that_cannot_be_found_breaks_no_page(tracking: Tracking, client: Client, path: str) -> None:
    tracking.start()

    assert client.get(f"/viewed/{path}/").status_code == 200
    assert viewed(tracking) == []


def test_a_view_with_two_arguments_is_told_to_name_the_key(
    tracking: Tracking, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decorators, "_misuse_log", LogThrottle())
    tracking.start()

    client.get("/viewed/two/a/b/")

    assert "@object_viewed(Product, 'number')" in caplog.text


def test_wrong_use_of_the_decorator_is_said_at_once(site: None) -> None:
    with pytest.raises(TypeError, match="expected a model or a function"):
        object_viewed("shop.Product")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected it with a model"):
        object_viewed(lambda request: None, "pk")


# The template tags.


def test_a_list_marks_each_of_its_objects_and_asks_for_them_once(tracking: Tracking, client: Client) -> None:
    tracking.start()
    lamp, chair = (create("Product", name=name) for name in ("Lamp", "Chair"))

    with CaptureQueriesContext(connection) as queries:
        response = client.get("/viewed/list/")

    assert response.content.split() == [b"Chair", b"Lamp"]
    assert viewed(tracking) == [
        ("shop.Product", str(chair.pk)),
        ("shop.Product", str(lamp.pk)),
        ("banner", "Chair"),
    ]
    assert len(queries) == 1


# The address.


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded_for", "address"),
    [
        ("", "192.0.2.1", "203.0.113.7", "192.0.2.1"),
        ("192.0.2.0/24", "192.0.2.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("1", "192.0.2.1", "203.0.113.7" + "x" * 300, "192.0.2.1"),
        ("", "", "203.0.113.7", None),
        ("", "unix:", "", None),
    ],
)
def test_the_client_is_who_a_trusted_proxy_says(
    tracking: Tracking, proxies: str, peer: str, forwarded_for: str, address: str | None
) -> None:
    tracking.configure(trusted_proxies=proxies or None)
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded_for)

    assert get_client_ip(request) == address


def test_the_address_of_an_asynchronous_request_is_found_too(tracking: Tracking) -> None:
    tracking.configure()
    assert get_client_ip(AsyncRequestFactory().get("/")) == "127.0.0.1"
