"""Shelves and products."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, abort, render_template, stream_with_context

import otel_usage
from otel_usage.demo.shop.products import CATEGORIES, PRODUCTS, products_of

blueprint = Blueprint("catalog", __name__)

_SHOWN_AT_HOME = (
    "harbour-kettle",
    "reading-lamp",
    "field-notebook",
    "wool-blanket",
    "fern-mister",
    "tide-bowl",
)


@blueprint.get("/")
def home() -> str:
    return render_template(
        "home.html", categories=CATEGORIES.values(), products=[PRODUCTS[slug] for slug in _SHOWN_AT_HOME]
    )


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

    def rows() -> Iterator[str]:
        yield "slug,name,category,price\r\n"
        for each in PRODUCTS.values():
            yield f'{each.slug},"{each.name}",{each.category},{each.price}\r\n'

    return Response(stream_with_context(rows()), mimetype="text/csv")
