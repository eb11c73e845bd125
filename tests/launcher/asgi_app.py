"""The same site for uvicorn, through asgiref's adapter."""

from __future__ import annotations

from asgiref.wsgi import WsgiToAsgi

from tests.launcher.apps import app as wsgi_app

app = WsgiToAsgi(wsgi_app)  # type: ignore[no-untyped-call]
