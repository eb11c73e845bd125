"""What `flask_track_usage.summarization` had, and what it announced."""

from otel_usage.flask.storages import (
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

__all__ = [
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
