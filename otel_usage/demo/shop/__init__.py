"""What the demo's shop is in any framework: its goods, its rules, its pages and their looks. Nothing here counts."""

from __future__ import annotations

from pathlib import Path

SECRET_VARIABLE = "SHOP_SECRET_KEY"  # noqa: S105 - the name of a variable
"""The key of the shop's sessions. Several workers must share it; without one it lasts as long as the process."""
TEMPLATES = Path(__file__).with_name("templates")
"""Jinja templates. They ask for `url_for(endpoint, **values)` and for `cart_count`."""
STATIC = Path(__file__).with_name("static")
