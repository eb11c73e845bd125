"""Asks every shop for the same pages and prints the answers as JSON: `python -m tests.demo.shop_answers`.

A process of its own, because Django has one site per process.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias
from urllib.parse import urlencode

REQUESTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("GET", "/", {}),
    ("GET", "/?utm_source=spring", {}),
    ("HEAD", "/", {}),
    ("OPTIONS", "/", {}),
    ("PUT", "/", {}),
    ("POST", "/", {}),
    ("BREW", "/", {}),
    ("GET", "/category/desk", {}),
    ("GET", "/category/nothing", {}),
    ("GET", "/product/tin-mug", {}),
    ("POST", "/product/tin-mug", {}),
    ("GET", "/product/nothing", {}),
    ("GET", "/product/", {}),
    ("GET", "/product/tin%2Fmug", {}),
    ("GET", "/catalog.csv", {}),
    ("GET", "/about", {}),
    ("GET", "/about/", {}),
    ("GET", "/imprint", {}),
    ("GET", "/stock-check", {}),
    # Before there is a cart: Django shows the page of an error without asking the session, which may be the cause.
    ("GET", "/voucher", {}),
    ("GET", "/robots.txt", {}),
    ("GET", "/healthz", {}),
    ("GET", "/nowhere", {}),
    ("GET", "/caf%C3%A9", {}),
    ("GET", "/%FF", {}),
    ("GET", "/static/shop.css", {}),
    ("GET", "/static/icon.svg", {}),
    ("GET", "/static/nothing", {}),
    ("GET", "/static/", {}),
    ("GET", "/signup", {}),
    ("POST", "/signup", {"email": "nobody"}),
    ("POST", "/signup", {"email": "someone@shop.example"}),
    ("GET", "/welcome", {}),
    ("GET", "/cart", {}),
    ("GET", "/cart/add", {}),
    ("POST", "/checkout", {"name": "Demo"}),
    ("POST", "/cart/add", {"slug": "nothing"}),
    ("POST", "/cart/add", {}),
    ("POST", "/cart/add", {"slug": "tin-mug"}),
    ("POST", "/cart/add", {"slug": "tin-mug"}),
    ("POST", "/cart/add", {"slug": "map-case"}),
    ("GET", "/cart", {}),
    ("GET", "/checkout", {}),
    ("POST", "/checkout", {"name": " "}),
    ("POST", "/checkout", {"name": "Demo"}),
    ("GET", "the order", {}),
    ("GET", "/order/7", {}),
    ("GET", "/order/seven", {}),
    ("GET", "/cart", {}),
)
"""What one visitor asks for, in this order; `the order` is the page of the order before."""

_PAGES = {200, 400, 404, 500}
"""Statuses whose body is the shop's own; those of redirects and refused methods are the framework's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What must be the same in every shop."""

    status: int
    location: str
    is_html: bool
    body: str


Ask: TypeAlias = Callable[[str, str, str | None], tuple[int, str, str, bytes]]
"""Sends method, path and body of a form; gives status, location, content type and body."""


def ask_all(ask: Ask) -> list[Answer]:
    """Return the answers to `REQUESTS`, with order numbers, which are drawn, as `N`."""
    answers = []
    order = ""
    for method, path, form in REQUESTS:
        body = urlencode(form) if form else None
        status, location, content_type, sent = ask(method, order if path == "the order" else path, body)
        order = location if location.startswith("/order/") else order
        text = sent.decode() if status in _PAGES else ""
        hidden = [re.sub(r"\d{6}", "N", each) for each in (location, text)]
        answers.append(Answer(status, hidden[0], content_type.startswith("text/html"), hidden[1]))
    return answers


def flask_shop() -> Ask:
    from otel_usage.demo.flask_shop import create_app

    browser = create_app().test_client()

    def ask(method: str, path: str, body: str | None) -> tuple[int, str, str, bytes]:
        kind = "application/x-www-form-urlencoded" if body else None
        with browser.open(path, method=method, data=body, content_type=kind) as response:
            return response.status_code, response.location or "", response.content_type, response.data

    return ask


def django_shop() -> Ask:
    from django.test import Client

    browser = Client(raise_request_exception=False)

    def ask(method: str, path: str, body: str | None) -> tuple[int, str, str, bytes]:
        return _read(browser.generic(method, path, body or "", "application/x-www-form-urlencoded"))

    return ask


def django_shop_by_asgi() -> Ask:
    from django.test import AsyncClient

    browser = AsyncClient(raise_request_exception=False)

    async def send(method: str, path: str, body: str | None) -> tuple[int, str, str, bytes]:
        response: Any = await browser.generic(method, path, body or "", "application/x-www-form-urlencoded")
        if response.streaming:
            parts = [part async for part in response.streaming_content]
            return response.status_code, "", response.headers["Content-Type"], b"".join(parts)
        return _read(response)

    return lambda method, path, body: asyncio.run(send(method, path, body))


def _read(response: Any) -> tuple[int, str, str, bytes]:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    headers = response.headers
    return response.status_code, headers.get("Location", ""), headers.get("Content-Type", ""), body


def main() -> None:
    import django
    from django.test.utils import setup_test_environment

    django.setup()
    setup_test_environment()
    shops = {"flask": flask_shop(), "django": django_shop(), "django by ASGI": django_shop_by_asgi()}
    json.dump({name: list(map(asdict, ask_all(ask))) for name, ask in shops.items()}, sys.stdout)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "otel_usage.demo.django_shop.settings"
    os.environ["OTEL_USAGE_DISABLED"] = "true"
    main()
