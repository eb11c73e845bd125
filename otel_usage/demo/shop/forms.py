"""What the shop says to its two forms, and the numbers of its orders."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from decimal import Decimal

_FIRST_ORDER = 100_000
_REMEMBERED_ORDERS = 10


def problem_of_order(total: Decimal, name: str) -> str:
    """Return why an order cannot be taken, empty when it can."""
    if not total:
        return "Your cart is empty."
    return "" if name.strip() else "Please tell us a name for the parcel."


def problem_of_address(email: str) -> str:
    """Return why the letter cannot go to an address, empty when it can."""
    # The address goes nowhere: nobody writes letters in a demo.
    return "" if "@" in email else "That is not an address we can write to."


def next_order() -> int:
    """Return the number of a new order."""
    return _FIRST_ORDER + secrets.randbelow(9 * _FIRST_ORDER)


def with_order(orders: Sequence[int], number: int) -> list[int]:
    """Return the buyer's last orders with one more; the session that keeps them is a cookie."""
    return [*orders, number][-_REMEMBERED_ORDERS:]
