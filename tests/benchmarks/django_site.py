"""A small Django site for the request benchmark."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from opentelemetry.instrumentation.django import DjangoInstrumentor
from werkzeug.test import run_wsgi_app

from otel_usage.django import DjangoUsageInstrumentor
from tests.frameworks.asgi_client import ask


def item(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"item {number}")


async def async_item(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"item {number}")


urlpatterns = [path("item/<int:number>", item), path("async-item/<int:number>", async_item)]


def build_django_request(
    environ: dict[str, Any], contrib: bool, usage: bool, kind: str
) -> Callable[[], object]:
    """Return what sends the request to the site, to its asynchronous view for `django asgi`."""
    settings.configure(SECRET_KEY="benchmark", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
    if contrib:
        DjangoInstrumentor().instrument()
    if usage:
        DjangoUsageInstrumentor().instrument()
    django.setup()
    if kind == "django":
        wsgi = get_wsgi_application()
        return lambda: run_wsgi_app(wsgi, dict(environ), buffered=True)
    asgi, loop = get_asgi_application(), asyncio.new_event_loop()
    environ = {**environ, "PATH_INFO": "/async-item/7"}
    return lambda: loop.run_until_complete(ask(asgi, environ))
