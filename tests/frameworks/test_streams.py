"""Bodies that come in parts: to their end, broken off, left by the client; in every framework."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from werkzeug.test import Client, EnvironBuilder

import otel_usage
from otel_usage import attributes as names
from tests.frameworks import asgi_client
from tests.frameworks.meetings import Meeting
from tests.frameworks.shops import DJANGO_URLS, Shop
from tests.tracking import Tracking

pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")

DJANGO = pytest.mark.usefixtures("django_site")


def sizes(tracking: Tracking, name: str) -> list[object]:
    return [event.attributes.get(names.RESPONSE_SIZE) for event in tracking.events(name)]


@pytest.mark.parametrize("path", ["/stream/", "/async-stream/"])
def test_what_the_body_records_belongs_to_its_request(
    tracking: Tracking, start: Callable[..., None], shop: Shop, path: str
) -> None:
    if path == "/async-stream/" and not shop.is_django:
        return
    start()

    response = shop.get(path)

    assert response.data == "abü".encode()
    request = tracking.request()
    for name in ("before", "within", "response_sent"):
        (event,) = tracking.events(name)
        assert event.parent_span_id == request.span_id
        assert event.attributes[names.VISIT_KEY] == request.attributes[names.VISIT_KEY]
    assert sizes(tracking, "request") == [None]
    assert sizes(tracking, "response_sent") == [4]
    assert otel_usage.current_visit() is None


def test_the_bytes_of_a_stream_say_what_they_are_summed_by(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start()

    assert shop.get("/stream/?list=a", headers={"Accept-Language": "de-CH,de"}).data

    request, (sent,) = tracking.request(), tracking.events("response_sent")
    by = (names.STATUS_CODE, names.SCHEME, names.HOST, names.PATH, names.QUERY, names.LANGUAGE)
    assert [sent.attributes[name] for name in by] == [request.attributes[name] for name in by]
    assert sent.attributes[names.QUERY] == "list=a"
    assert sent.attributes[names.LANGUAGE] == "de-CH"


@pytest.mark.parametrize(("path", "size"), [("/known-stream/", 3), ("/file/", 100)])
def test_a_stream_of_known_length_has_it_on_the_request_alone(
    tracking: Tracking, shop: Shop, path: str, size: int
) -> None:
    tracking.start()

    assert len(shop.get(path).data) == size

    assert sizes(tracking, "request") == [size]
    assert sizes(tracking, "response_sent") == []


@pytest.mark.parametrize("path", ["/broken-stream/", "/broken-async-stream/"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # and the request's body too
def test_a_stream_that_breaks_is_one_request_counted_as_far_as_it_came(
    tracking: Tracking, start: Callable[..., None], shop: Shop, path: str
) -> None:
    if path == "/broken-async-stream/" and shop.name != "Django ASGI":
        return
    start()

    with pytest.raises(RuntimeError, match="of the app"), shop.browser().get(path) as response:
        assert response.data

    assert tracking.request().attributes[names.STATUS_CODE] == 200
    # Under ASGI, Django leaves a response that broke open.
    assert sizes(tracking, "response_sent") == ([] if shop.name == "Django ASGI" else [3])
    assert otel_usage.current_visit() is None
    gc.collect()  # here, where the warning is expected


@pytest.mark.parametrize("path", ["/stream/"])
def test_a_client_that_leaves_is_counted_as_far_as_it_came(tracking: Tracking, shop: Shop, path: str) -> None:
    tracking.start()

    response = shop.browser().get(path, environ_overrides={asgi_client.PARTS_TAKEN: 1})
    next(iter(response.response))
    response.close()

    assert tracking.request().attributes[names.STATUS_CODE] == 200
    # A stream that does not fit its server is collected before the first part is sent.
    assert sizes(tracking, "response_sent") == [4 if shop.name == "Django ASGI" else 1]
    assert otel_usage.current_visit() is None


@DJANGO
@override_settings(ROOT_URLCONF=DJANGO_URLS)
def test_a_client_that_leaves_an_asynchronous_stream_is_counted_as_far_as_it_came(
    tracking: Tracking, start: Callable[..., None]
) -> None:
    start()
    environ = EnvironBuilder("/async-stream/").get_environ() | {asgi_client.PARTS_TAKEN: 1}

    answer = asyncio.run(asgi_client.ask(get_asgi_application(), environ))

    assert answer.parts == [b"a"]
    assert tracking.request().attributes[names.STATUS_CODE] == 200
    assert sizes(tracking, "response_sent") == [1]
    assert tracking.events("within") == []


@DJANGO
@override_settings(ROOT_URLCONF=DJANGO_URLS)
def test_a_request_whose_client_leaves_before_the_answer_is_one_request(tracking: Tracking) -> None:
    # Without contrib, whose middleware waits for the view in a thread that nobody can cancel.
    tracking.start()

    async def leave() -> None:
        begun = Meeting.begun = asyncio.Event()
        gone = asyncio.Event()
        environ = EnvironBuilder("/leave-me/").get_environ()
        request = asyncio.create_task(asgi_client.ask(get_asgi_application(), environ, gone))
        await begun.wait()
        gone.set()
        assert (await request).status == 0

    asyncio.run(asyncio.wait_for(leave(), 60))

    event = tracking.request()
    assert event.attributes[names.STATUS_CODE] == 499
    assert event.attributes[names.ROUTE] == "leave-me/"


@DJANGO
@override_settings(ROOT_URLCONF=DJANGO_URLS)
def test_a_body_that_nobody_takes_does_not_swallow_the_next_request(tracking: Tracking) -> None:
    tracking.start()
    app = get_wsgi_application()
    for path in ("/stream/", "/item/7/"):
        Client(app).get(path).close()

    assert [event.attributes[names.PATH] for event in tracking.events("request")] == ["/stream/", "/item/7/"]
    assert sizes(tracking, "response_sent") == [1]  # the part that the client looks at
