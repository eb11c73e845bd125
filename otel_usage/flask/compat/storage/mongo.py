"""What `flask_track_usage.storage.mongo` had."""

from otel_usage.flask.storages import MongoEngineStorage, MongoPiggybackStorage, MongoStorage

__all__ = ["MongoEngineStorage", "MongoPiggybackStorage", "MongoStorage"]
