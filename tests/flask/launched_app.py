"""The app that test_launcher.py starts: it knows nothing of OpenTelemetry and nothing of us."""

from __future__ import annotations

import os

from flask import Flask, Response


def create_app() -> Flask:
    app = Flask("shop")
    app.secret_key = "of the app"

    @app.get("/item/<int:number>")
    def item(number: int) -> Response:
        return Response(f"{os.getpid()}")

    return app


app = create_app()
