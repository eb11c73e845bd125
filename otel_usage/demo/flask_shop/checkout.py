"""From the cart to the order."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

import otel_usage
from otel_usage.demo.shop.cart import total_of
from otel_usage.demo.shop.forms import next_order, problem_of_order, with_order

blueprint = Blueprint("checkout", __name__)


@blueprint.get("/checkout")
def form() -> str:
    return render_template("checkout.html", total=total_of(session.get("cart", {})), error="")


@blueprint.post("/checkout")
def order() -> Response | tuple[str, int]:
    total = total_of(session.get("cart", {}))
    error = problem_of_order(total, request.form.get("name", ""))
    if error:
        return render_template("checkout.html", total=total, error=error), 400
    number = next_order()
    session["orders"] = with_order(session.get("orders", []), number)
    session.pop("cart", None)
    # Optional: an event of the shop's own, here the last stage of the funnel "purchase".
    otel_usage.track("order_placed", amount=str(total))
    return redirect(url_for("checkout.placed", number=number))


@blueprint.get("/order/<int:number>")
def placed(number: int) -> str:
    if number not in session.get("orders", []):
        abort(404)
    return render_template("order.html", number=number)
