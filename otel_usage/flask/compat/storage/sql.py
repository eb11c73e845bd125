"""What `flask_track_usage.storage.sql` had."""

from otel_usage.flask.storages import SQLStorage

__all__ = ["SQLStorage"]
