"""What the templates may call."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse
from jinja2 import Environment


def environment(**options: Any) -> Environment:
    """Return the Jinja environment that Django asks for."""
    made = Environment(**options)  # noqa: S701 - Django's options switch escaping on
    made.globals["url_for"] = url_for
    return made


def url_for(endpoint: str, **values: str) -> str:
    """Return the address of `module.view`, or with `static` that of a file."""
    if endpoint == "static":
        return static(values["filename"])
    return reverse(endpoint.replace(".", ":"), kwargs=values)
