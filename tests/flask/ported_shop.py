"""The demo's shop as an app of Flask-Track-Usage 2.0.0; there, only the import of `TrackUsage` differs.

The old package's own way of doing things throughout: the extension made before the app, views marked by their
functions and blueprints, a plain function as the storage, `g.track_var`. `SHOP_CALLS` names the file that the
storage writes to, `SHOP_VIEWS` says `exclude` or `include`.
"""

from __future__ import annotations

import json
import os
from typing import Any

from flask import Flask, g, request

from otel_usage.demo.flask_shop import account, cart, catalog, checkout, pages
from otel_usage.demo.shop import STATIC, TEMPLATES
from otel_usage.flask.compat import TrackUsage

usage = TrackUsage()


def keep(data: dict[str, Any]) -> None:
    """Store one request, as a line of JSON."""
    line = json.dumps({**data, "user_agent": str(data["user_agent"])})
    with open(os.environ["SHOP_CALLS"], "a") as calls:
        calls.write(line + "\n")


def note_arguments() -> None:
    if "track_var" in g and request.view_args:
        g.track_var.update(request.view_args, blueprint=request.blueprint)


def create_app() -> Flask:
    shop = Flask("shop", template_folder=str(TEMPLATES), static_folder=STATIC, static_url_path="/static")
    shop.secret_key = "of the shop"
    shop.config["TRACK_USAGE_INCLUDE_OR_EXCLUDE_VIEWS"] = os.environ["SHOP_VIEWS"]
    shop.config["TRACK_USAGE_USE_FREEGEOIP"] = False
    for module in (catalog, cart, checkout, account, pages):
        shop.register_blueprint(module.blueprint)
    shop.register_error_handler(404, pages.not_found)
    shop.register_error_handler(500, pages.server_error)
    shop.context_processor(cart.count_for_header)

    usage.include(catalog.product)
    usage.include_blueprint(cart.blueprint)
    usage.exclude(pages.health)
    usage.exclude_blueprint(account.blueprint)
    usage.init_app(shop, [keep])
    shop.before_request(note_arguments)
    return shop
