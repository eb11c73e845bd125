"""The row of a visit in a database, for SQLAlchemy."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import DateTime, String, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, with its microseconds; in UTC where the database does not store a time zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the column: MySQL cuts fractions off unless told not to."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment as the database takes it."""
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment with its time zone, UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


class VisitColumns:
    """The columns that a table of visits must have; further ones need a default, or may be NULL."""

    visit_key: Mapped[str] = mapped_column(String(32), primary_key=True)
    visitor_id: Mapped[str] = mapped_column(String(32))
    created: Mapped[datetime] = mapped_column(UtcDateTime)
    expiry: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    fingerprint: Mapped[str | None] = mapped_column(String(32), unique=True)
    """Keyed hash that parallel first requests of one visitor have in common; NULL a little later."""


class _Base(DeclarativeBase):
    """Tables of ours."""


class StoredVisit(VisitColumns, _Base):
    """A visit, in the table that is used unless the app names another one."""

    __tablename__ = "otel_usage_visit"
