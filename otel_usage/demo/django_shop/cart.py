"""The cart, kept in the shop's own session cookie."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.generic import View

from otel_usage.demo.shop.cart import count_of, lines_of, total_of, with_one_more
from otel_usage.demo.shop.products import PRODUCTS


class Add(View):
    def post(self, request: HttpRequest) -> HttpResponse:
        slug = request.POST.get("slug", "")
        if slug not in PRODUCTS:
            raise Http404
        request.session["cart"] = with_one_more(request.session.get("cart", {}), slug)
        return redirect("cart:show")


class Show(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        cart = request.session.get("cart", {})
        return render(request, "cart.html", {"lines": lines_of(cart), "total": total_of(cart)})


def count_for_header(request: HttpRequest) -> dict[str, int]:
    """Return what the header of every page shows."""
    return {"cart_count": count_of(request.session.get("cart", {}))}


urlpatterns = [
    path("cart/add", Add.as_view(), name="add"),
    path("cart", Show.as_view(), name="show"),
]
