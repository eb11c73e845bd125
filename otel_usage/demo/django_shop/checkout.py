"""From the cart to the order."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.generic import View

import otel_usage
from otel_usage.demo.shop.cart import total_of
from otel_usage.demo.shop.forms import next_order, problem_of_order, with_order


class Checkout(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        total = total_of(request.session.get("cart", {}))
        return render(request, "checkout.html", {"total": total, "error": ""})

    def post(self, request: HttpRequest) -> HttpResponse:
        total = total_of(request.session.get("cart", {}))
        error = problem_of_order(total, request.POST.get("name", ""))
        if error:
            return render(request, "checkout.html", {"total": total, "error": error}, status=400)
        number = next_order()
        request.session["orders"] = with_order(request.session.get("orders", []), number)
        request.session.pop("cart", None)
        # Optional: an event of the shop's own, here the last stage of the funnel "purchase".
        otel_usage.track("order_placed", amount=str(total))
        return redirect("checkout:placed", number=number)


class Placed(View):
    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        if number not in request.session.get("orders", []):
            raise Http404
        return render(request, "order.html", {"number": number})


urlpatterns = [
    path("checkout", Checkout.as_view(), name="form"),
    path("order/<int:number>", Placed.as_view(), name="placed"),
]
