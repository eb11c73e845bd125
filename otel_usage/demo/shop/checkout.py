"""From the cart to the order."""

from __future__ import annotations

import secrets

from flask import Blueprint, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

import otel_usage
from otel_usage.demo.shop.cart import cart_total

blueprint = Blueprint("checkout", __name__)

_FIRST_ORDER = 100_000
_REMEMBERED_ORDERS = 10


@blueprint.get("/checkout")
def form() -> str:
    return render_template("checkout.html", total=cart_total(), error="")


@blueprint.post("/checkout")
def order() -> Response | tuple[str, int]:
    total = cart_total()
    if not total or not request.form.get("name", "").strip():
        error = "Your cart is empty." if not total else "Please tell us a name for the parcel."
        return render_template("checkout.html", total=total, error=error), 400
    number = _FIRST_ORDER + secrets.randbelow(9 * _FIRST_ORDER)
    session["orders"] = [*session.get("orders", []), number][-_REMEMBERED_ORDERS:]
    session.pop("cart", None)
    # Optional: an event of the shop's own, here the last stage of the funnel "purchase".
    otel_usage.track("order_placed", amount=str(total))
    return redirect(url_for("checkout.placed", number=number))


@blueprint.get("/order/<int:number>")
def placed(number: int) -> str:
    if number not in session.get("orders", []):
        abort(404)
    return render_template("order.html", number=number)
