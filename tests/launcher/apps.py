"""The site that the launcher's tests start: plain Flask, which knows nothing of tracking."""

from __future__ import annotations

import os

from flask import Flask, abort


def create_app() -> Flask:
    app = Flask(__name__)
    app.secret_key = "of the app"

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        return f"item {number} from {os.getpid()}"

    @app.get("/missing/<int:number>")
    def missing(number: int) -> str:
        abort(404)

    return app


app = create_app()
