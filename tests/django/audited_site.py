"""Serves requests of a Django site and prints what our code opened there. Run by test_audit.py."""

from __future__ import annotations

import logging
import sys
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from opentelemetry.instrumentation.django import DjangoInstrumentor

import otel_usage
from otel_usage.django import DjangoUsageInstrumentor
from tests.auditing import print_what_is_opened, set_up_sdk
from tests.frameworks.shops import DJANGO_ASGI, DJANGO_WSGI


def item(request: HttpRequest, number: int) -> HttpResponse:
    otel_usage.object_viewed("item", number)
    otel_usage.track("liked", color="red")
    if number % 10 == 0:
        raise RuntimeError("of the site")
    return HttpResponse("ok")


urlpatterns = [path("item/<int:number>/", item)]


def main(dsn: str, options: list[str]) -> None:
    if "sdk" in options:
        set_up_sdk()
    settings.configure(
        SECRET_KEY="of the site", ROOT_URLCONF="tests.django.audited_site", ALLOWED_HOSTS=["localhost"]
    )
    otel_usage.configure(dsn=dsn, flush_interval_seconds=0.02, batch_size=50)
    DjangoUsageInstrumentor().instrument()
    if "contrib" in options:
        DjangoInstrumentor().instrument()
    django.setup()
    logging.disable()
    browser = (DJANGO_ASGI if "asgi" in options else DJANGO_WSGI).browser(use_cookies=False)

    def ask(number: int, headers: dict[str, str]) -> Any:
        return browser.get(f"/item/{number}/?q=1", headers=headers)

    print_what_is_opened(ask)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
