"""The names of Flask-Track-Usage, so that an app of it changes its import lines alone.

All of them are here, and each is in the submodule where it was as well: `flask_track_usage` gives way to
`otel_usage.flask.compat` wherever it stands.
"""

from otel_usage.flask.storages import (
    CouchDBStorage,
    MongoEngineStorage,
    MongoPiggybackStorage,
    MongoStorage,
    OutputWriter,
    PrintStorage,
    PrintWriter,
    RedisStorage,
    SQLStorage,
    Storage,
    Writer,
    sumBasic,
    sumBrowser,
    sumGeo,
    sumLanguage,
    sumRemote,
    sumServer,
    sumStatus,
    sumUrl,
    sumUserAgent,
    sumVisitor,
)
from otel_usage.flask.track_usage import TrackUsage

__all__ = [
    "CouchDBStorage",
    "MongoEngineStorage",
    "MongoPiggybackStorage",
    "MongoStorage",
    "OutputWriter",
    "PrintStorage",
    "PrintWriter",
    "RedisStorage",
    "SQLStorage",
    "Storage",
    "TrackUsage",
    "Writer",
    "sumBasic",
    "sumBrowser",
    "sumGeo",
    "sumLanguage",
    "sumRemote",
    "sumServer",
    "sumStatus",
    "sumUrl",
    "sumUserAgent",
    "sumVisitor",
]
