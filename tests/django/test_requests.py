"""Exactly one `request` event for each request, whatever the site does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from django.test import AsyncClient, Client
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

import otel_usage
from otel_usage import attributes as names
from tests.tracking import Tracking


@pytest.fixture(params=["with contrib", "without contrib", "contrib, trace not sampled"])
def mode(request: pytest.FixtureRequest, tracking: Tracking) -> Callable[..., None]:
    """Start tracking in each of three ways; the promises of this file hold in all of them."""

    def start(**settings: object) -> None:
        sampler: Sampler | None = ALWAYS_OFF if "not sampled" in request.param else None
        tracking.start(sampler, **settings)
        if request.param != "without contrib":
            DjangoInstrumentor().instrument()

    return start


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/", 200, "/"),
        ("GET", "/item/7/", 200, "item/<int:number>/"),
        ("GET", "/async-item/7/", 200, "async-item/<int:number>/"),
        ("GET", "/old/7/", 200, "^old/(?P<number>[0-9]+)/$"),
        ("GET", "/nowhere/", 404, ""),
        ("POST", "/item/7/", 405, "item/<int:number>/"),
        ("HEAD", "/item/7/", 200, "item/<int:number>/"),
        ("GET", "/item/7", 301, ""),
        ("GET", "/forbidden/", 403, "forbidden/"),
        ("GET", "/broken/", 500, "broken/"),
        ("GET", "/redirect/", 302, "redirect/"),
        ("GET", "/empty/", 204, "empty/"),
        ("GET", "/file/", 200, "file/"),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_every_kind_of_answer_is_one_request(
    tracking: Tracking,
    mode: Callable[..., None],
    kind: str,
    method: str,
    path: str,
    status: int,
    route: str,
) -> None:
    mode()

    if kind == "sync":
        response = Client(raise_request_exception=False).generic(method, path)
    else:
        response = asyncio.run(AsyncClient(raise_request_exception=False).generic(method, path))

    assert response.status_code == status
    event = tracking.request()
    assert event.attributes[names.STATUS_CODE] == status
    assert event.attributes[names.METHOD] == method
    assert event.attributes[names.PATH] == path
    assert event.attributes.get(names.ROUTE, "") == route
    assert event.attributes[names.VISIT_KEY]
    assert "otel_usage_visit" in response.cookies
    assert otel_usage.current_visit() is None


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_visit_continues_with_its_cookie(tracking: Tracking, mode: Callable[..., None], kind: str) -> None:
    mode()

    if kind == "sync":
        client = Client()
        for _ in range(3):
            client.get("/item/7/")
    else:

        async def browse() -> None:
            client = AsyncClient()
            for _ in range(3):
                await client.get("/item/7/")

        asyncio.run(browse())

    events = tracking.events("request")
    assert len({event.attributes[names.VISIT_KEY] for event in events}) == 1
    assert [event.attributes[names.VISIT_IS_NEW] for event in events] == [True, False, False]


@pytest.mark.parametrize("path", ["/stream/", "/async-stream/"])
def test_a_stream_is_one_request_and_what_its_body_records_belongs_to_it(
    tracking: Tracking, mode: Callable[..., None], path: str
) -> None:
    mode()

    if path == "/stream/":
        response = Client().get(path)
        body = b"".join(response.streaming_content)
        response.close()
    else:

        async def read() -> bytes:
            response = await AsyncClient().get(path)
            body = b"".join([part async for part in response.streaming_content])
            response.close()
            return body

        body = asyncio.run(read())

    assert body == "abü".encode()
    request = tracking.request()
    before, within, sent = (tracking.events(name)[0] for name in ("before", "within", "response_sent"))
    assert before.attributes[names.VISIT_KEY] == request.attributes[names.VISIT_KEY]
    assert within.attributes[names.VISIT_KEY] == request.attributes[names.VISIT_KEY]
    assert before.parent_span_id == within.parent_span_id == request.span_id
    assert sent.attributes[names.RESPONSE_SIZE] == 4
    assert otel_usage.current_visit() is None
