"""django-trackable's messages, which are events here."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

import otel_usage
from otel_usage import attributes as names
from otel_usage.django.messages import send_decrement_message, send_increment_message, send_message
from tests.django.models import shop
from tests.tracking import Tracking

Message = Callable[..., None]


def counted(tracking: Tracking) -> list[tuple[object, ...]]:
    """Return type, id, counter and value of every counter event."""
    keys = (names.OBJECT_TYPE, names.OBJECT_ID, names.COUNTER_NAME, names.COUNTER_VALUE)
    return [tuple(event.attributes[key] for key in keys) for event in tracking.events(names.COUNTER)]


@pytest.mark.parametrize("message", [send_increment_message, send_decrement_message])
def test_the_messages_have_their_old_arguments(message: Message) -> None:
    parameters = inspect.signature(message).parameters

    assert list(parameters) == ["request", "obj", "field_name", "data_cls", "options"]
    assert parameters["data_cls"].default is None
    assert parameters["options"].default == {}


@pytest.mark.parametrize(
    ("options", "added", "taken"),
    [
        pytest.param({}, 1, -1, id="no value is one"),
        pytest.param({"value": None}, 1, -1, id="nor is None"),
        pytest.param({"value": 0}, 0, 0, id="0 is 0"),
        pytest.param({"value": 5}, 5, -5, id="5 is 5"),
        pytest.param({"value": -2}, -2, 2, id="a negative one takes away, and gives back"),
        pytest.param({"value": "7"}, 7, -7, id="a URL pattern's text is a number"),
    ],
)
def test_a_message_counts_what_its_value_says(
    tracking: Tracking, options: dict[str, object], added: int, taken: int
) -> None:
    tracking.start()
    link = shop.Link(pk=4)

    send_increment_message(None, link, "clicks", None, options)
    send_decrement_message(None, link, "clicks", options=options)

    assert counted(tracking) == [("shop.Link", "4", "clicks", added), ("shop.Link", "4", "clicks", taken)]


def test_options_are_not_shared_between_calls_and_not_changed(tracking: Tracking) -> None:
    tracking.start()
    options: dict[str, object] = {}

    send_increment_message(None, shop.Link(pk=1), "clicks", options=options)
    options["value"] = 9
    send_increment_message(None, shop.Link(pk=1), "clicks")

    assert [row[-1] for row in counted(tracking)] == [1, 1]
    assert options == {"value": 9}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("clix", 1, "unknown_counter"),
        ("", 1, "no_counter_name"),
        ("clicks", "many", "not_a_whole_number"),
        ("clicks", 2**63 + 1, "out_of_range"),
    ],
)
@pytest.mark.parametrize("message", [send_increment_message, send_decrement_message])
def test_a_malformed_message_is_set_aside_and_blocks_nothing(
    tracking: Tracking, message: Message, field: str, value: object, reason: str
) -> None:
    tracking.start()

    message(None, shop.Link(pk=1), field, options={"value": value})
    for _ in range(3):
        message(None, shop.Link(pk=1), "clicks")

    assert len(counted(tracking)) == 3
    assert tracking.accounting().rejected == {reason: 1}


def test_a_data_class_must_have_the_counter(tracking: Tracking) -> None:
    class Totals:
        counters = ("clicks",)

    tracking.start()

    send_increment_message(None, shop.Link(pk=1), "clicks", Totals)
    send_increment_message(None, shop.Link(pk=1), "downloads", Totals)
    send_increment_message(None, shop.Link(pk=1), "clicks", int)

    assert len(counted(tracking)) == 1
    assert tracking.accounting().rejected == {"unknown_counter": 2}


def test_an_operation_of_the_sites_own_is_an_event_about_the_object(tracking: Tracking) -> None:
    tracking.start()

    send_message(None, shop.Link(pk=3), "clicks", "reset", options={"to": 0})

    (event,) = tracking.events("reset")
    given = {key: value for key, value in event.attributes.items() if key.startswith("usage.")}
    assert (
        given.items()
        >= {
            names.OBJECT_TYPE: "shop.Link",
            names.OBJECT_ID: "3",
            "usage.property.field": "clicks",
            "usage.property.to": "0",
        }.items()
    )


def test_a_message_in_a_request_has_its_visit_user_and_agent(tracking: Tracking, client: Client) -> None:
    tracking.start()
    link = shop.Link.objects.create(slug="a", url="/to/")

    client.get(f"/link/id/{link.pk}/", headers={"user-agent": "Firefox/127.0"})

    request, (event,) = tracking.request(), tracking.events(names.COUNTER)
    for shared in (names.VISIT_KEY, names.VISITOR_ID, names.CLIENT_ADDRESS, names.USER_AGENT):
        assert event.attributes[shared] == request.attributes[shared]
    assert event.attributes[names.USER_AGENT] == "Firefox/127.0"
    assert event.parent_span_id == request.span_id


@pytest.mark.parametrize(
    ("headers", "is_bot"),
    [
        ({"user-agent": "Mozilla/5.0 (Windows NT 10.0; rv:127.0) Gecko/20100101 Firefox/127.0"}, False),
        ({"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, True),
        ({"user-agent": ""}, True),
        ({}, True),
    ],
)
def test_a_message_of_an_untracked_request_knows_a_robot(
    tracking: Tracking, headers: dict[str, str], is_bot: bool
) -> None:
    tracking.start()

    send_increment_message(RequestFactory().get("/", headers=headers), shop.Link(pk=1), "clicks")

    (event,) = tracking.events(names.COUNTER)
    assert (event.attributes.get(names.SYNTHETIC_TYPE) == "bot") == is_bot


def test_counting_asks_the_database_nothing(tracking: Tracking) -> None:
    tracking.start()
    link = shop.Link.objects.create(slug="a")

    with CaptureQueriesContext(connection) as queries:
        for _ in range(200):
            send_increment_message(None, link, "clicks")
        otel_usage.increment(link, "downloads", 5)
        send_increment_message(None, link, "unknown")

    assert len(queries) == 0
    assert sum(int(str(row[-1])) for row in counted(tracking)) == 205


class Unreadable:
    @property
    def pk(self) -> object:
        raise RuntimeError("no key")


@pytest.mark.parametrize("obj", [None, Unreadable(), object()])
def test_no_object_at_all_is_never_an_error(tracking: Tracking, obj: Any) -> None:
    tracking.start()

    send_increment_message(None, obj, "clicks")
    send_message(None, obj, "clicks", "reset")

    assert counted(tracking) == []


def test_a_message_before_anything_is_configured_is_nothing(tracking: Tracking) -> None:
    tracking.configure(disabled=True)

    send_increment_message(None, shop.Link(pk=1), "clicks")

    assert tracking.events() == []


def test_the_log_names_the_reason_once_a_minute(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otel_usage.log_throttle import LogThrottle

    monkeypatch.setattr("otel_usage.instrumentation.api._misuse_log", LogThrottle())
    tracking.start()
    with caplog.at_level(logging.WARNING, "otel_usage"):
        for _ in range(100):
            send_increment_message(None, shop.Link(pk=1), "secret-field")

    (message,) = caplog.messages
    assert "unknown_counter" in message
    assert "secret-field" not in message
