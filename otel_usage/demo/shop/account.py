"""Signing up for the shop's letter."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

blueprint = Blueprint("account", __name__)


@blueprint.get("/signup")
def form() -> str:
    return render_template("signup.html", error="")


@blueprint.post("/signup")
def sign_up() -> Response | tuple[str, int]:
    if "@" not in request.form.get("email", ""):
        return render_template("signup.html", error="That is not an address we can write to."), 400
    # The address goes nowhere: nobody writes letters in a demo.
    session["signed_up"] = True
    return redirect(url_for("account.welcome"))


@blueprint.get("/welcome")
def welcome() -> str:
    return render_template("welcome.html")
