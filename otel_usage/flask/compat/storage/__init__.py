"""What `flask_track_usage.storage` had."""

from otel_usage.flask.storages import Storage, Writer

__all__ = ["Storage", "Writer"]
