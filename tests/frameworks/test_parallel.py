"""Requests that are served at once keep apart what happens in them."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Callable

import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

import otel_usage
from otel_usage import attributes as names
from tests.frameworks import asgi_client
from tests.frameworks.meetings import LoopMeeting, Meeting
from tests.frameworks.shops import DJANGO_URLS, Shop
from tests.tracking import Tracking

GUESTS = 8


def check_that_each_view_is_of_its_request(tracking: Tracking, prefix: str) -> None:
    requests = {event.span_id: event for event in tracking.events("request")}
    views = tracking.events("object_viewed")
    assert len(requests) == len(views) == GUESTS
    assert len({event.attributes[names.VISIT_KEY] for event in views}) == GUESTS
    for view in views:
        request = requests[view.parent_span_id]
        assert request.attributes[names.PATH] == f"{prefix}{view.attributes[names.OBJECT_ID]}/"
        assert request.attributes[names.VISIT_KEY] == view.attributes[names.VISIT_KEY]


def test_requests_in_threads_keep_their_events_apart(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start()
    Meeting.of_threads = threading.Barrier(GUESTS)
    app = shop.build()

    guests = [
        threading.Thread(target=Client(app).get, args=(f"/meet/{number}/",)) for number in range(GUESTS)
    ]
    for guest in guests:
        guest.start()
    for guest in guests:
        guest.join()

    check_that_each_view_is_of_its_request(tracking, "/meet/")


@pytest.mark.usefixtures("django_site")
@override_settings(ROOT_URLCONF=DJANGO_URLS)
def test_requests_in_one_event_loop_keep_their_events_apart(
    tracking: Tracking, start: Callable[..., None]
) -> None:
    start()

    async def meet() -> None:
        app = get_asgi_application()
        Meeting.in_a_loop = LoopMeeting(GUESTS)
        environs = [EnvironBuilder(f"/async-meet/{number}/").get_environ() for number in range(GUESTS)]
        answers = await asyncio.gather(*(asgi_client.ask(app, environ) for environ in environs))
        assert {answer.status for answer in answers} == {200}
        assert otel_usage.current_visit() is None

    asyncio.run(meet())

    check_that_each_view_is_of_its_request(tracking, "/async-meet/")


class Probe:
    """Something that a request holds."""


@pytest.mark.usefixtures("django_site")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="there, Django's handler keeps one without us too")
# Without Django's middleware for users, which closes such a circle by itself.
@override_settings(ROOT_URLCONF=DJANGO_URLS, MIDDLEWARE=[])
def test_a_django_request_is_freed_without_the_garbage_collector(
    tracking: Tracking, start: Callable[..., None]
) -> None:
    start()
    environ = EnvironBuilder("/item/7/").get_environ()
    probe = environ["probe"] = Probe()  # the request holds its environment
    alive = weakref.ref(probe)
    app = get_wsgi_application()
    gc.collect()
    gc.disable()
    try:
        run_wsgi_app(app, environ, buffered=True)
        del probe, environ
        assert alive() is None
    finally:
        gc.enable()
