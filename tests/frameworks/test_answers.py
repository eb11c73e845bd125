"""Exactly one `request` event for each request, whatever the app does, and an answer that is the app's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import override_settings
from opentelemetry.trace import SpanKind

import otel_usage
from otel_usage import attributes as names
from otel_usage.django import DjangoUsageInstrumentor
from otel_usage.flask import FlaskUsageInstrumentor
from tests.frameworks.cases import ANSWERS, Case
from tests.frameworks.conftest import instrument_contrib
from tests.frameworks.shops import DJANGO_URLS, DJANGO_WSGI, Shop, our_cookies, without_our_cookie
from tests.tracking import Tracking, untracked

# Django says so where a stream does not fit the server, and sends it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


@pytest.mark.parametrize("case", ANSWERS, ids=[case.id for case in ANSWERS])
def test_every_kind_of_answer_is_one_request(
    tracking: Tracking, start: Callable[..., None], shop: Shop, case: Case
) -> None:
    if not case.is_for(shop.is_django):
        return
    with untracked():
        bare = shop.browser().open(case.path, method=case.method, buffered=True)
    start()

    response = shop.browser().open(case.path, method=case.method, buffered=True)

    assert without_our_cookie(response) == without_our_cookie(bare)
    assert len(our_cookies(response)) == case.gets_cookie
    event = tracking.request()
    assert event.attributes[names.STATUS_CODE] == response.status_code == case.status
    assert event.attributes[names.METHOD] == case.method
    assert event.attributes[names.PATH] == case.path.partition("?")[0]
    route = event.attributes.get(names.ROUTE)
    assert (str(route).removeprefix("/") if route is not None else None) == case.route_in(shop.is_django)
    assert event.attributes[names.VISIT_KEY]
    assert event.duration_ns > 0
    assert otel_usage.current_visit() is None


def test_a_request_of_contrib_and_of_ours_is_one_trace(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start()

    shop.get("/events/")

    request = tracking.request()
    for name in ("object_viewed", "asked"):
        (event,) = tracking.events(name)
        assert (event.trace_id, event.parent_span_id) == (request.trace_id, request.span_id)
        for inherited in (names.VISIT_KEY, names.VISITOR_ID, names.CLIENT_ADDRESS, names.USER_AGENT):
            assert event.attributes.get(inherited) == request.attributes.get(inherited)


def test_view_arguments_and_bytes_are_kept(tracking: Tracking, shop: Shop) -> None:
    tracking.start()

    shop.get("/item/7/")

    event = tracking.request()
    assert event.attributes[names.VIEW_ARGUMENT_PREFIX + "number"] == "7"
    assert event.attributes[names.RESPONSE_SIZE] == len("item 7")


def test_what_a_view_recorded_before_it_broke_is_kept(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start()

    shop.get("/broken/")

    (tried,) = tracking.events("tried")
    assert tried.parent_span_id == tracking.request().span_id


def test_stopped_a_shop_is_as_if_we_were_not_there(tracking: Tracking, shop: Shop) -> None:
    tracking.start(disabled=True)

    response = shop.get("/events/")

    assert our_cookies(response) == []
    assert response.data == b"False"


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "contrib first"])
def test_the_order_of_instrumenting_does_not_matter(tracking: Tracking, shop: Shop, ours_first: bool) -> None:
    tracking.set_up_sdk()
    tracking.configure()
    steps: list[Callable[[], None]] = [instrument_ours, instrument_contrib]
    for step in steps if ours_first else reversed(steps):
        step()

    shop.get("/item/7/")

    (span,) = [span for span in tracking.spans() if span.kind is SpanKind.SERVER]
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name.startswith("opentelemetry.instrumentation.")
    assert (span.attributes or {})[names.EVENT_NAME] == names.REQUEST
    assert tracking.request().span_id.hex() == f"{span.context.span_id:016x}"


def instrument_ours() -> None:
    FlaskUsageInstrumentor().instrument()
    DjangoUsageInstrumentor().instrument()


@pytest.mark.parametrize("position", [0, 3])
def test_contribs_middleware_may_stand_anywhere(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, django_site: None, position: int
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DJANGO_MIDDLEWARE_POSITION", str(position))
    tracking.start()
    instrument_contrib()

    with override_settings(ROOT_URLCONF=DJANGO_URLS, MIDDLEWARE=list(settings.MIDDLEWARE)):
        DJANGO_WSGI.get("/item/7/")
        # Answered by Django's middleware, which may now stand in front of contrib's.
        DJANGO_WSGI.get("/item/7")
        DJANGO_WSGI.get("/", headers={"Host": "evil.example"})

    statuses = [event.attributes[names.STATUS_CODE] for event in tracking.events("request")]
    # Like contrib's own span, the event tells what is known where contrib stands.
    assert statuses == [200, 404 if position else 301, 400]
