"""Usage tracking for Flask."""

from otel_usage.flask.instrumentor import FlaskUsageInstrumentor

__all__ = ["FlaskUsageInstrumentor"]
