"""What `flask_track_usage.storage.printer` had."""

from otel_usage.flask.storages import PrintStorage, PrintWriter

__all__ = ["PrintStorage", "PrintWriter"]
