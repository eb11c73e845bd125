"""Shelves and products."""

from __future__ import annotations

from flask import Blueprint, Response, abort, render_template, stream_with_context

import otel_usage
from otel_usage.demo.shop.products import CATEGORIES, PRODUCTS, price_list, products_at_home, products_of

blueprint = Blueprint("catalog", __name__)


@blueprint.get("/")
def home() -> str:
    return render_template("home.html", categories=CATEGORIES.values(), products=products_at_home())


@blueprint.get("/category/<slug>")
def category(slug: str) -> str:
    if slug not in CATEGORIES:
        abort(404)
    return render_template("category.html", category=CATEGORIES[slug], products=products_of(slug))


@blueprint.get("/product/<slug>")
def product(slug: str) -> str:
    if slug not in PRODUCTS:
        abort(404)
    # Optional: counts the object, whatever the address of its page.
    otel_usage.object_viewed("product", slug)
    shown = PRODUCTS[slug]
    return render_template("product.html", product=shown, category=CATEGORIES[shown.category])


@blueprint.get("/catalog.csv")
def export() -> Response:
    """Stream the price list, row by row."""
    return Response(stream_with_context(price_list()), mimetype="text/csv")
