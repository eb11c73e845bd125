"""The cart as both shops keep it in their sessions: quantities by slug."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from otel_usage.demo.shop.products import PRODUCTS, Product

_MAX_QUANTITY = 20


def with_one_more(cart: Mapping[str, int], slug: str) -> dict[str, int]:
    """Return the cart with one more of a product in it."""
    return {**cart, slug: min(cart.get(slug, 0) + 1, _MAX_QUANTITY)}


def lines_of(cart: Mapping[str, int]) -> list[tuple[Product, int]]:
    """Return the products in the cart with their quantities, in the order of the shelves.

    A session does not keep the order in which they were added: Flask's sorts. What is no longer sold is left out.
    """
    return [(product, cart[slug]) for slug, product in PRODUCTS.items() if slug in cart]


def total_of(cart: Mapping[str, int]) -> Decimal:
    """Return the price of the whole cart."""
    return sum((product.price * quantity for product, quantity in lines_of(cart)), Decimal("0.00"))


def count_of(cart: Mapping[str, int]) -> int:
    """Return the number of things in the cart, which every page shows."""
    return sum(cart.values())
