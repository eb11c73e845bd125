"""The ways to run the shop: a framework, a server, and what both need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Framework: TypeAlias = Literal["flask", "django"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One way to run the shop, with two workers on a free port."""

    framework: Framework
    program: str
    """The server, beside the Python that runs the demo."""
    arguments: tuple[str, ...]
    listening_line: str
    """Regular expression over the line in which the server says where it listens, with the address as its group."""
    environment: Mapping[str, str] = field(default_factory=dict)
    distribution_by_module: Mapping[str, str]
    """What must be installed, by a module to look for."""

    @property
    def title(self) -> str:
        return f"{self.framework.capitalize()} under {self.program}"

    def route(self, path: str) -> str:
        """Return how the framework writes a route that the plan writes with a slash at its beginning."""
        # Django's routes begin after the slash; that of the front page, which would be empty, is stored as "/".
        return path.removeprefix("/") or path if self.framework == "django" else path


_DJANGO_SETTINGS = {"DJANGO_SETTINGS_MODULE": "otel_usage.demo.django_shop.settings"}
"""In the environment, as for every Django site under the launcher: its instrumentor comes before manage.py or wsgi.py."""
_DJANGO_PACKAGES = {
    "django": "django",
    "jinja2": "jinja2",
    "opentelemetry.instrumentation.django": "opentelemetry-instrumentation-django",
}


def _gunicorn(app: str) -> tuple[str, ...]:
    # Short options: the launcher would take --config for an abbreviation of one of its own.
    return "-c", "python:otel_usage.demo.gunicorn_config", "-w", "2", "-b", "127.0.0.1:0", app


_LISTENING_GUNICORN = r"Listening at: (http://127\.0\.0\.1:\d+)"

FLASK = Stack(
    framework="flask",
    program="gunicorn",
    arguments=_gunicorn("otel_usage.demo.flask_shop:app"),
    listening_line=_LISTENING_GUNICORN,
    distribution_by_module={
        "flask": "flask",
        "gunicorn": "gunicorn",
        "opentelemetry.instrumentation.flask": "opentelemetry-instrumentation-flask",
    },
)
DJANGO = Stack(
    framework="django",
    program="gunicorn",
    arguments=_gunicorn("otel_usage.demo.django_shop.wsgi:application"),
    listening_line=_LISTENING_GUNICORN,
    environment=_DJANGO_SETTINGS,
    distribution_by_module={**_DJANGO_PACKAGES, "gunicorn": "gunicorn"},
)
DJANGO_ASGI = Stack(
    framework="django",
    program="uvicorn",
    arguments=(
        *("--host", "127.0.0.1", "--port", "0", "--workers", "2"),
        # The address of the client is ours to find, by the same rules as in the other stacks.
        *("--no-proxy-headers", "--no-access-log"),
        "otel_usage.demo.django_shop.asgi:application",
    ),
    listening_line=r"Uvicorn running on (http://127\.0\.0\.1:\d+)",
    # A worker that needs long to start on a busy computer would be killed for not answering its parent. In the
    # environment, because the versions that do not know the option would stop at it.
    environment={**_DJANGO_SETTINGS, "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60"},
    distribution_by_module={
        **_DJANGO_PACKAGES,
        "opentelemetry.instrumentation.asgi": "opentelemetry-instrumentation-asgi",
    },
)


def find_stack(framework: str | None, *, is_asgi: bool) -> Stack:
    """Return the way that was asked for: Flask when nothing was, Django when only ASGI was.

    Raises:
        ValueError: Flask by ASGI, which there is not.
    """
    if not is_asgi:
        return DJANGO if framework == "django" else FLASK
    if framework == "flask":
        raise ValueError(
            "--framework flask and --asgi do not go together: Flask is a WSGI framework. "
            "Expected --asgi alone, or with --framework django"
        )
    return DJANGO_ASGI
