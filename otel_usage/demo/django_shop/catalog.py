"""Shelves and products."""

from __future__ import annotations

from collections.abc import AsyncIterator

from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.generic import View

import otel_usage
from otel_usage.demo.shop.products import CATEGORIES, PRODUCTS, price_list, products_at_home, products_of


class Home(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        context = {"categories": CATEGORIES.values(), "products": products_at_home()}
        return render(request, "home.html", context)


class Category(View):
    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        if slug not in CATEGORIES:
            raise Http404
        return render(request, "category.html", {"category": CATEGORIES[slug], "products": products_of(slug)})


class Product(View):
    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        if slug not in PRODUCTS:
            raise Http404
        # Optional: counts the object, whatever the address of its page.
        otel_usage.object_viewed("product", slug)
        shown = PRODUCTS[slug]
        return render(request, "product.html", {"product": shown, "category": CATEGORIES[shown.category]})


class Export(View):
    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        """Stream the price list, row by row, in the way that the server of the moment can send."""
        rows = _price_list_async() if isinstance(request, ASGIRequest) else price_list()
        return StreamingHttpResponse(rows, content_type="text/csv; charset=utf-8")


async def _price_list_async() -> AsyncIterator[str]:
    for row in price_list():
        yield row


urlpatterns = [
    path("", Home.as_view(), name="home"),
    path("category/<slug>", Category.as_view(), name="category"),
    path("product/<slug>", Product.as_view(), name="product"),
    path("catalog.csv", Export.as_view(), name="export"),
]
