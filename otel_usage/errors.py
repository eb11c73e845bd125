"""The exceptions that otel_usage raises on purpose; each text ends with what to do."""

from __future__ import annotations


class OtelUsageError(Exception):
    """Base of all our errors; the command line prints its text in one line and exits with 1."""


class SettingError(OtelUsageError, ValueError):
    """A setting has a value that cannot be used; the command line exits with 2."""


class FunnelError(SettingError):
    """The funnel file cannot be read or does not describe funnels."""


class ClickHouseError(OtelUsageError):
    """ClickHouse answered with an error.

    Attributes:
        code: ClickHouse's error code (60 is UNKNOWN_TABLE), or None when it gave none.
        dsn: where it was asked, with `***` for the password; empty when that is not known.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.dsn = ""


class ClickHouseUnavailable(ClickHouseError):
    """ClickHouse cannot take the statement now; the same statement may succeed later."""


class NoAnswer(ClickHouseUnavailable):
    """Nobody answers at the address."""


class SchemaError(OtelUsageError):
    """The tables of the database are not those that this version works with."""


class DeliveryError(OtelUsageError):
    """A batch was not delivered; sending the very same batch again may succeed."""


class RejectedBatch(OtelUsageError):
    """The receiver will never take this batch, however often it is sent."""


class PartlyRejected(RejectedBatch):
    """The receiver took the batch but for some events, which it will never take.

    Attributes:
        count: how many it refused; it does not say which.
    """

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class NotSetAside(RejectedBatch):
    """The receiver took the batch, but has no place for the events in it that are to be set aside."""
