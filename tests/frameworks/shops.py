"""The same shop in each framework and under each kind of server, asked by the same client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from werkzeug.test import Client, TestResponse

from tests.frameworks import flask_shop
from tests.frameworks.asgi_client import BehindWsgi

DJANGO_URLS = "tests.frameworks.django_shop"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"


class Browser(Client):
    """A client that has an address, as behind any server."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        return super().open(*args, environ_base={"REMOTE_ADDR": "127.0.0.1"}, **options)


@dataclass(frozen=True)
class Shop:
    """A way to serve the shop. An app is built when it is asked for: after the instrumentors, as by the launcher."""

    name: str
    build: Callable[[], Any]

    @property
    def is_django(self) -> bool:
        return self.name.startswith("Django")

    def browser(self, *, use_cookies: bool = True) -> Browser:
        """Return a visitor with a cookie jar of its own, or with none."""
        return Browser(self.build(), use_cookies=use_cookies)

    def get(self, path: str, **options: Any) -> TestResponse:
        """Let a new visitor ask for one page, and take all of it."""
        return self.browser().get(path, buffered=True, **options)


FLASK = Shop("Flask", flask_shop.build_app)
DJANGO_WSGI = Shop("Django WSGI", get_wsgi_application)
DJANGO_ASGI = Shop("Django ASGI", lambda: BehindWsgi(get_asgi_application()))
SHOPS = (FLASK, DJANGO_WSGI, DJANGO_ASGI)


class Plain(NamedTuple):
    """What a visitor gets, but for our cookie."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]


def our_cookies(response: TestResponse) -> list[str]:
    """Return the cookies of ours that a response sets."""
    return [text for text in _headers(response, "Set-Cookie") if text.startswith("otel_usage")]


def without_our_cookie(response: TestResponse) -> Plain:
    ours = our_cookies(response)
    kept = tuple(
        (name, text.strip()) for name, text in response.headers if text.strip() not in ours and name != "Date"
    )
    return Plain(response.status_code, response.data, kept)


def _headers(response: TestResponse, name: str) -> list[str]:
    # Django's WSGI handler leaves a space in front.
    return [text.strip() for text in response.headers.getlist(name)]
