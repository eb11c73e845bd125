"""The same app for an ASGI server."""

from __future__ import annotations

from asgiref.wsgi import WsgiToAsgi

from tests.flask.launched_app import app as wsgi_app

app = WsgiToAsgi(wsgi_app)  # type: ignore[no-untyped-call]
