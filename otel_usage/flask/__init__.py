"""Usage tracking for Flask. The extension `TrackUsage` and its storages are loaded where an app asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_usage.flask.client_views import client_api
from otel_usage.flask.instrumentor import FlaskUsageInstrumentor
from otel_usage.flask.scope import exclude_blueprint, include_blueprint
from otel_usage.instrumentation.scope import exclude, include

if TYPE_CHECKING:
    from otel_usage.flask.track_usage import TrackUsage

__all__ = [
    "FlaskUsageInstrumentor",
    "TrackUsage",
    "client_api",
    "exclude",
    "exclude_blueprint",
    "include",
    "include_blueprint",
]


def __getattr__(name: str) -> object:
    if name != "TrackUsage":
        raise AttributeError(f"module 'otel_usage.flask' has no attribute {name!r}")
    from otel_usage.flask import track_usage

    value = globals()[name] = track_usage.TrackUsage
    return value


def __dir__() -> list[str]:
    return __all__
