"""The cart, kept in the shop's own session cookie."""

from __future__ import annotations

from decimal import Decimal

from flask import Blueprint, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from otel_usage.demo.shop.products import PRODUCTS, Product

blueprint = Blueprint("cart", __name__, url_prefix="/cart")

_MAX_QUANTITY = 20


@blueprint.post("/add")
def add() -> Response:
    slug = request.form.get("slug", "")
    if slug not in PRODUCTS:
        abort(404)
    cart = dict(session.get("cart", {}))
    cart[slug] = min(cart.get(slug, 0) + 1, _MAX_QUANTITY)
    session["cart"] = cart
    return redirect(url_for("cart.show"))


@blueprint.get("")
def show() -> str:
    return render_template("cart.html", lines=cart_lines(), total=cart_total())


def cart_lines() -> list[tuple[Product, int]]:
    """Return the products in the cart with their quantities; what is no longer sold is left out."""
    return [
        (PRODUCTS[slug], quantity) for slug, quantity in session.get("cart", {}).items() if slug in PRODUCTS
    ]


def cart_total() -> Decimal:
    """Return the price of the whole cart."""
    return sum((product.price * quantity for product, quantity in cart_lines()), Decimal("0.00"))


def count_for_header() -> dict[str, int]:
    """Return the number of things in the cart, which every page shows."""
    return {"cart_count": sum(session.get("cart", {}).values())}
