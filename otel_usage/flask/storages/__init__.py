"""Storages of the Flask extension: what else is told of each request, beside ClickHouse.

Any callable that takes the data of a request is one; the classes here print, write and read.
"""

from otel_usage.flask.storages.base import Storage, Writer
from otel_usage.flask.storages.clickhouse import ClickHouseStorage
from otel_usage.flask.storages.data import RequestExtras, build_data
from otel_usage.flask.storages.databases import (
    CouchDBStorage,
    MongoEngineStorage,
    MongoPiggybackStorage,
    MongoStorage,
    RedisStorage,
    SQLStorage,
)
from otel_usage.flask.storages.delivery import Delivery, storage_accounting
from otel_usage.flask.storages.sink_thread import StorageAccounting, StorageCallable
from otel_usage.flask.storages.summarization import (
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
from otel_usage.flask.storages.user_agent import UserAgent
from otel_usage.flask.storages.writers import ApacheLogWriter, OutputWriter, PrintStorage, PrintWriter

__all__ = [
    "ApacheLogWriter",
    "ClickHouseStorage",
    "CouchDBStorage",
    "Delivery",
    "MongoEngineStorage",
    "MongoPiggybackStorage",
    "MongoStorage",
    "OutputWriter",
    "PrintStorage",
    "PrintWriter",
    "RedisStorage",
    "RequestExtras",
    "SQLStorage",
    "Storage",
    "StorageAccounting",
    "StorageCallable",
    "UserAgent",
    "Writer",
    "build_data",
    "storage_accounting",
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
