"""Views that answer in every way that Django has."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator

from django.contrib.auth import (
    aupdate_session_auth_hash,
    get_user_model,
    login,
    logout,
    update_session_auth_hash,
)
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template import Context, Template
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

import otel_usage
import otel_usage.django


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home")


@require_safe
def item(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"item {number}")


async def async_item(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"item {number}")


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def broken(request: HttpRequest) -> HttpResponse:
    otel_usage.track("tried")
    raise RuntimeError("broken")


def redirecting(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/item/7/")


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    otel_usage.track("before")

    def body() -> Iterator[str]:
        yield "a"
        otel_usage.track("within")
        yield "bü"

    return StreamingHttpResponse(body())


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    otel_usage.track("before")

    async def body() -> AsyncIterator[str]:
        yield "a"
        otel_usage.track("within")
        yield "bü"

    return StreamingHttpResponse(body())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"x" * 100), filename="file.txt")


def cached(request: HttpRequest) -> HttpResponse:
    return HttpResponse("cached", headers={"Cache-Control": "public, max-age=60"})


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user))


def sign_in(request: HttpRequest, username: str) -> HttpResponse:
    login(request, get_user_model().objects.get(username=username))
    return HttpResponse("in")


def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("out")


def new_password(request: HttpRequest) -> HttpResponse:
    user = get_user_model()._default_manager.get(pk=request.user.pk)
    user.set_password("new")
    user.save()
    update_session_auth_hash(request, user)
    return HttpResponse("changed")


@csrf_exempt
def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


def events(request: HttpRequest) -> HttpResponse:
    otel_usage.object_viewed("page", "a")
    otel_usage.track("asked", about="prices")
    return HttpResponse(str(otel_usage.current_visit() is not None))


async def async_new_password(request: HttpRequest) -> HttpResponse:
    user = await get_user_model()._default_manager.aget(pk=(await request.auser()).pk)
    user.set_password("new")
    await user.asave()
    request.user = user  # which Django's function asks for without waiting
    await aupdate_session_auth_hash(request, user)
    return HttpResponse("changed")


def single_page(request: HttpRequest) -> HttpResponse:
    """Answer every path below with the same page, as the server of a single-page app does."""
    page = Template(
        "<!doctype html>{% load usage_client %}{% usage_script %}<title>app</title><a id='link' href='/item/7/'>item</a>"
    )
    policy = "default-src 'none'; script-src 'self'; connect-src 'self'"
    return HttpResponse(page.render(Context()), headers={"Content-Security-Policy": policy})


@otel_usage.django.exclude
def excluded(request: HttpRequest) -> HttpResponse:
    otel_usage.track("inside")
    return HttpResponse("excluded")


@otel_usage.django.include
def included(request: HttpRequest) -> HttpResponse:
    return HttpResponse("included")
