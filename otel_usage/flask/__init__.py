"""Usage tracking for Flask."""

from otel_usage.flask.client_views import client_api
from otel_usage.flask.instrumentor import FlaskUsageInstrumentor
from otel_usage.flask.scope import exclude_blueprint, include_blueprint
from otel_usage.flask.track_usage import TrackUsage
from otel_usage.instrumentation.scope import exclude, include

__all__ = [
    "FlaskUsageInstrumentor",
    "TrackUsage",
    "client_api",
    "exclude",
    "exclude_blueprint",
    "include",
    "include_blueprint",
]
