"""The app of the launcher's tests, with a page that fails: traces with an error are kept whole."""

from __future__ import annotations

from flask import Flask, Response

from tests.flask import launched_app


def create_app() -> Flask:
    app = launched_app.create_app()

    @app.get("/fails")
    def fails() -> Response:
        return Response("sorry", 503)

    return app
