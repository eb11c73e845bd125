"""What `flask_track_usage.storage.couchdb` had."""

from otel_usage.flask.storages import CouchDBStorage

__all__ = ["CouchDBStorage"]
