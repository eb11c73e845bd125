"""Everything that is not for sale, with one page that fails and one that takes its time."""

from __future__ import annotations

import time
from contextlib import closing

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.generic import TemplateView, View
from django.views.static import serve

from otel_usage.demo.shop import STATIC
from otel_usage.demo.shop.pages import BROKEN, HEALTH, ROBOTS, SLOW_SECONDS

_TEXT = "text/plain; charset=utf-8"


class StockCheck(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer late, so that the durations have something to show."""
        time.sleep(SLOW_SECONDS)
        return render(request, "stock.html")


class Voucher(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        """Fail, as every shop does somewhere."""
        raise RuntimeError(BROKEN)


class Robots(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(ROBOTS, content_type=_TEXT)


class Health(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(HEALTH, content_type=_TEXT)


def static_file(request: HttpRequest, name: str) -> HttpResponse:
    """Send a file, because a demo has no web server in front that would."""
    with closing(serve(request, name, document_root=str(STATIC))) as found:
        # Whole: Django's stream of a file is for WSGI alone, and warns under ASGI.
        return HttpResponse(b"".join(found), status=found.status_code, headers=found.headers)


urlpatterns = [
    path("about", TemplateView.as_view(template_name="about.html"), name="about"),
    path("imprint", TemplateView.as_view(template_name="imprint.html"), name="imprint"),
    path("stock-check", StockCheck.as_view(), name="stock_check"),
    path("voucher", Voucher.as_view(), name="voucher"),
    path("robots.txt", Robots.as_view(), name="robots"),
    path("healthz", Health.as_view(), name="health"),
]
