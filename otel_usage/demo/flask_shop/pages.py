"""Everything that is not for sale, with one page that fails and one that takes its time."""

from __future__ import annotations

import time

from flask import Blueprint, Response, render_template

from otel_usage.demo.shop.pages import BROKEN, HEALTH, ROBOTS, SLOW_SECONDS

blueprint = Blueprint("pages", __name__)


@blueprint.get("/about")
def about() -> str:
    return render_template("about.html")


@blueprint.get("/imprint")
def imprint() -> str:
    return render_template("imprint.html")


@blueprint.get("/stock-check")
def stock_check() -> str:
    """Answer late, so that the durations have something to show."""
    time.sleep(SLOW_SECONDS)
    return render_template("stock.html")


@blueprint.get("/voucher")
def voucher() -> str:
    """Fail, as every shop does somewhere."""
    raise RuntimeError(BROKEN)


@blueprint.get("/robots.txt")
def robots() -> Response:
    return Response(ROBOTS, mimetype="text/plain")


@blueprint.get("/healthz")
def health() -> Response:
    return Response(HEALTH, mimetype="text/plain")


def not_found(error: Exception) -> tuple[str, int]:
    return render_template("404.html"), 404


def server_error(error: Exception) -> tuple[str, int]:
    return render_template("500.html"), 500
