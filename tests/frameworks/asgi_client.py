"""Asks an ASGI app: many requests in one event loop, or one at a time behind WSGI, so that one client asks all apps."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

PARTS_TAKEN = "test.parts_taken"
"""Key of a WSGI environment: after how many parts of the body the client goes away."""

_Message = MutableMapping[str, Any]
AsgiApp = Callable[..., Awaitable[None]]


@dataclass
class AsgiAnswer:
    """What an app sent, as far as the client took it."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)


async def ask(app: AsgiApp, environ: dict[str, Any], gone: asyncio.Event | None = None) -> AsgiAnswer:
    """Send the request of a WSGI environment, and go away when that or an event says so."""
    answer = AsgiAnswer()
    gone = gone or asyncio.Event()
    length = str(environ.get("CONTENT_LENGTH") or 0)
    body = [environ["wsgi.input"].read(int(length) if length.isdigit() else 0)]

    async def receive() -> _Message:
        if body:
            return {"type": "http.request", "body": body.pop(), "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: _Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [
                (name.decode("latin-1"), text.decode("latin-1")) for name, text in message["headers"]
            ]
        elif message.get("body"):
            answer.parts.append(message["body"])
            if len(answer.parts) == environ.get(PARTS_TAKEN):
                gone.set()
                await asyncio.Event().wait()  # nobody takes any more: until the app is told

    await app(_scope_of(environ), receive, send)
    return answer


def _scope_of(environ: dict[str, Any]) -> dict[str, Any]:
    path = environ.get("PATH_INFO", "").encode("latin-1", "replace")
    names = [
        name for name in environ if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": path.decode("utf-8", "replace"),
        "raw_path": path,
        "root_path": environ.get("SCRIPT_NAME", ""),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1", "replace"),
        "headers": [
            (
                name.removeprefix("HTTP_").replace("_", "-").lower().encode(),
                str(environ[name]).encode("latin-1", "replace"),
            )
            for name in names
            if environ[name] != ""
        ],
        "client": (environ["REMOTE_ADDR"], 4711) if environ.get("REMOTE_ADDR") else None,
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
    }


class BehindWsgi:
    """An ASGI app for a WSGI client. Each request has an event loop of its own."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = asyncio.run(ask(self._app, environ))
        start_response(f"{answer.status} {http.HTTPStatus(answer.status).phrase}", answer.headers)
        return answer.parts
