"""A small shop in plain Flask, the app of the demo.

Its requests are followed without a line of code for it. The modules that import otel_usage are the ones that
want to say more than a request does: which product was looked at, and that an order was placed.
"""

from __future__ import annotations

import os
import secrets

from flask import Flask

from otel_usage.demo.flask_shop import account, cart, catalog, checkout, pages
from otel_usage.demo.shop import SECRET_VARIABLE, STATIC, TEMPLATES


def create_app() -> Flask:
    """Return the shop."""
    shop = Flask(__name__, template_folder=str(TEMPLATES), static_folder=STATIC, static_url_path="/static")
    shop.secret_key = os.environ.get(SECRET_VARIABLE) or secrets.token_hex(32)
    for module in (catalog, cart, checkout, account, pages):
        shop.register_blueprint(module.blueprint)
    shop.register_error_handler(404, pages.not_found)
    shop.register_error_handler(500, pages.server_error)
    shop.context_processor(cart.count_for_header)
    return shop


app = create_app()
