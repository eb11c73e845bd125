"""Whatever of ours breaks, the response is byte for byte the one that the app made, in every framework."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult

import otel_usage
from otel_usage import attributes as names
from otel_usage.django import instrumentor as django_instrumentor
from otel_usage.django import middleware
from otel_usage.django.middleware import UsageMiddleware
from otel_usage.errors import DeliveryError, RejectedBatch
from otel_usage.flask import instrumentor as flask_instrumentor
from otel_usage.instrumentation import api, request_attributes, scope, tracked, tracker
from otel_usage.instrumentation.address import AddressPolicy, AddressResolver
from otel_usage.pipeline.worker import BatchWorker
from otel_usage.visits.cookie import CookieVisitManager
from otel_usage.visits.ticket import TicketOffice
from tests.frameworks.conftest import instrument_contrib
from tests.frameworks.shops import Plain, Shop, without_our_cookie
from tests.recording import RecordingExporter
from tests.tracking import Tracking, untracked

pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")

SHARED: list[tuple[Any, str]] = [
    (request_attributes, "bounded"),
    (request_attributes, "redact_query"),
    (tracked, "make_event_span"),
    (scope.Scope, "reason_to_filter"),
    (tracker.RequestTracker, "begin"),
    (tracker.RequestTracker, "finish"),
    (tracker.RequestTracker, "filter_at_place"),
    (tracker.RequestTracker, "_make_request_span"),
    (tracker.RequestTracker, "leave"),
    (CookieVisitManager, "visit_for_request"),
    (TicketOffice, "write"),
    (AddressResolver, "client_address"),
    (AddressPolicy, "apply"),
    (api, "current_request"),
    (api, "record_event"),
    (BatchWorker, "offer"),
    (RecordingExporter, "freeze"),
    (RecordingExporter, "send"),
]
OF_FLASK: list[tuple[Any, str]] = [
    (flask_instrumentor, "_tracker_of"),
    (flask_instrumentor, "read_wsgi_request"),
    (flask_instrumentor, "_answer"),
    (flask_instrumentor, "find_request_span"),
]
OF_DJANGO: list[tuple[Any, str]] = [
    (middleware, "facts_of"),
    (middleware, "place_of"),
    (middleware, "signed_in_user"),
    (middleware, "_body_size"),
    (middleware, "_count_body"),
    (middleware, "_opened_of"),
    (middleware, "_with_static_url"),
    (middleware, "find_request_span"),
    (middleware, "allows_cookie"),
    (middleware, "runtime"),
    (middleware, "RequestTracker"),
    (UsageMiddleware, "_tracker"),
    (UsageMiddleware, "_begin"),
    (UsageMiddleware, "_closing"),
    (UsageMiddleware, "_answer"),
    (UsageMiddleware, "_span"),
    (UsageMiddleware, "contrib_excludes"),
    (django_instrumentor, "_contrib_exclusion"),
    (django_instrumentor, "_SettingsWithOurs"),
]
PATHS = ("/item/7/", "/stream/", "/broken/", "/nowhere/", "/async-item/7/", "/who/")


def answers(shop: Shop) -> list[Plain]:
    browser = shop.browser()
    responses = [browser.get(path + "?q=1", buffered=True) for path in PATHS]
    refused = browser.get("/", headers={"Host": "evil.example"})
    return [without_our_cookie(response) for response in (*responses, refused)]


@functools.cache
def bare_answers(shop: Shop) -> list[Plain]:
    """Return what the shop answers without us; asked once, because it is always the same."""
    with untracked():
        instrument_contrib()
        return answers(shop)


@pytest.mark.parametrize(
    ("owner", "name"),
    [*SHARED, *OF_FLASK, *OF_DJANGO],
    ids=[f"{owner.__name__.rpartition('.')[2]}.{name}" for owner, name in [*SHARED, *OF_FLASK, *OF_DJANGO]],
)
def test_a_stage_that_breaks_never_changes_a_response(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, shop: Shop, owner: Any, name: str
) -> None:
    if (owner, name) in (OF_FLASK if shop.is_django else OF_DJANGO):
        return
    expected = bare_answers(shop)
    tracking.start()
    instrument_contrib()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("10.1.2.3 of ours")

    shop.build()  # what instrumenting sets is set, and then broken
    monkeypatch.setattr(owner, name, broken)

    assert answers(shop) == expected


class BrokenSampler(Sampler):
    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        raise RuntimeError("of the sampler")

    def get_description(self) -> str:
        return "broken"


def test_a_tracer_that_breaks_never_changes_a_response(tracking: Tracking, shop: Shop) -> None:
    with untracked():
        expected = answers(shop)

    tracking.start(BrokenSampler())

    assert answers(shop) == expected


@pytest.mark.parametrize("error", [DeliveryError("down"), RejectedBatch("never"), RuntimeError("bug")])
def test_an_exporter_that_refuses_never_changes_a_response(
    tracking: Tracking, shop: Shop, error: Exception
) -> None:
    def fail(attempt: int) -> None:
        raise error

    expected = bare_answers(shop)
    tracking.exporter = RecordingExporter(fail)
    tracking.start(flush_interval_seconds=0.01)
    instrument_contrib()

    assert answers(shop) == expected


def test_what_breaks_at_the_end_of_a_request_does_not_swallow_the_next_one(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    tracking.start()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("of ours")

    with monkeypatch.context() as patch:
        patch.setattr(flask_instrumentor, "_answer", broken)
        patch.setattr(UsageMiddleware, "_answer", broken)
        shop.get("/broken/")
    shop.get("/nowhere/")

    assert tracking.request().attributes[names.PATH] == "/nowhere/"
    assert otel_usage.current_visit() is None
