"""What `flask_track_usage.storage.output` had."""

from otel_usage.flask.storages import OutputWriter

__all__ = ["OutputWriter"]
