"""The cart, kept in the shop's own session cookie."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from otel_usage.demo.shop.cart import count_of, lines_of, total_of, with_one_more
from otel_usage.demo.shop.products import PRODUCTS

blueprint = Blueprint("cart", __name__, url_prefix="/cart")


@blueprint.post("/add")
def add() -> Response:
    slug = request.form.get("slug", "")
    if slug not in PRODUCTS:
        abort(404)
    session["cart"] = with_one_more(session.get("cart", {}), slug)
    return redirect(url_for("cart.show"))


@blueprint.get("")
def show() -> str:
    cart = session.get("cart", {})
    return render_template("cart.html", lines=lines_of(cart), total=total_of(cart))


def count_for_header() -> dict[str, int]:
    """Return what the header of every page shows."""
    return {"cart_count": count_of(session.get("cart", {}))}
