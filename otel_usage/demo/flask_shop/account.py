"""Signing up for the shop's letter."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from otel_usage.demo.shop.forms import problem_of_address

blueprint = Blueprint("account", __name__)


@blueprint.get("/signup")
def form() -> str:
    return render_template("signup.html", error="")


@blueprint.post("/signup")
def sign_up() -> Response | tuple[str, int]:
    error = problem_of_address(request.form.get("email", ""))
    if error:
        return render_template("signup.html", error=error), 400
    session["signed_up"] = True
    return redirect(url_for("account.welcome"))


@blueprint.get("/welcome")
def welcome() -> str:
    return render_template("welcome.html")
