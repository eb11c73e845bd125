"""The shop in Django: the views that the table of cases asks for, beside those of the tests' own site."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from werkzeug.test import Client

import otel_usage
from otel_usage.django import exclude
from otel_usage.django import include as include_view
from tests.django.shop import views
from tests.frameworks.meetings import Meeting


class Card(View):
    """Knows its methods by itself."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("card")


@exclude
class Secret(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("secret")


@method_decorator(exclude, name="dispatch")
class HiddenMethod(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("hidden")


@include_view
class Shown(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("shown")


@exclude
async def excluded_async(request: HttpRequest) -> HttpResponse:
    otel_usage.track("inside")
    return HttpResponse("excluded")


def visit(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{otel_usage.current_visit() is not None} {otel_usage.visit_ticket()!r}")


def headers(request: HttpRequest) -> HttpResponse:
    """Answer with the header that the query asks for."""
    return HttpResponse("headers", headers=dict(request.GET.items()))


def not_modified(request: HttpRequest) -> HttpResponse:
    return HttpResponseNotModified()


def theme(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("theme")
    response.set_cookie("theme", "dark")
    return response


def refuse(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=401)


def broken_stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[bytes]:
        yield b"abc"
        raise RuntimeError("of the app")

    return StreamingHttpResponse(body())


async def broken_async_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        raise RuntimeError("of the app")

    return StreamingHttpResponse(body())


@exclude
def quiet_stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[bytes]:
        yield b"a"
        otel_usage.track("within")

    return StreamingHttpResponse(body())


def known_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"abc"]), headers={"Content-Length": "3"})


def nested(request: HttpRequest) -> HttpResponse:
    """Ask the same site, with a client, as some tests and some pages do."""
    from django.core.wsgi import get_wsgi_application

    inner = Client(get_wsgi_application()).get("/item/1/").text
    assert otel_usage.current_visit() is not None
    return HttpResponse(inner)


def meet(request: HttpRequest, number: int) -> HttpResponse:
    otel_usage.object_viewed("person", number)
    Meeting.of_threads.wait(60)
    return HttpResponse("met")


async def async_meet(request: HttpRequest, number: int) -> HttpResponse:
    otel_usage.object_viewed("person", number)
    await Meeting.in_a_loop.wait()
    return HttpResponse("met")


async def leave_me(request: HttpRequest) -> HttpResponse:
    """Wait for something that never happens."""
    Meeting.begun.set()
    await asyncio.Event().wait()
    return HttpResponse("never")


def in_a_thread(request: HttpRequest) -> HttpResponse:
    thread = threading.Thread(target=lambda: otel_usage.track("by a thread"))
    thread.start()
    thread.join()
    return HttpResponse(str(otel_usage.current_visit() is not None))


def named(request: HttpRequest, rest: str) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [
    # Or the check for forgery would refuse a method before the view does.
    path("item/<int:number>/", csrf_exempt(views.item)),
    path("card/", csrf_exempt(Card.as_view())),
    path("secret/", Secret.as_view()),
    path("hidden/", HiddenMethod.as_view()),
    path("shown/", Shown.as_view()),
    path("excluded-async/", excluded_async),
    path("excluded-outside/", exclude(never_cache(theme))),
    path("visit/", visit),
    path("headers/", headers),
    path("not-modified/", not_modified),
    path("theme/", theme),
    path("private/", refuse),
    path("broken-stream/", broken_stream),
    path("broken-async-stream/", broken_async_stream),
    path("quiet-stream/", quiet_stream),
    path("known-stream/", known_stream),
    path("nested/", nested),
    path("meet/<int:number>/", meet),
    path("async-meet/<int:number>/", async_meet),
    path("leave-me/", leave_me),
    path("in-a-thread/", in_a_thread),
    path("named/<path:rest>", named),
    path("", include("tests.django.shop.urls")),
]
