"""The tables and views in ClickHouse: numbered migrations, and what brings a database up to date with them."""

from otel_usage.schema.applied import pending
from otel_usage.schema.migration import Migration, load_migrations
from otel_usage.schema.upgrade import MigrationReport, deduplicates, migrate, migrate_database

__all__ = [
    "Migration",
    "MigrationReport",
    "deduplicates",
    "load_migrations",
    "migrate",
    "migrate_database",
    "pending",
]
