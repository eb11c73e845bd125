"""What `flask_track_usage.storage.redis_db` had."""

from otel_usage.flask.storages import RedisStorage

__all__ = ["RedisStorage"]
