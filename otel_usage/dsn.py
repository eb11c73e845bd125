"""DSNs: where ClickHouse is, and as whom to speak to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from otel_usage.errors import SettingError
from otel_usage.settings import mask_password

DEFAULT_DATABASE = "otel_usage"
DEFAULT_DSN = f"http://localhost:8123/{DEFAULT_DATABASE}"

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_TLS_OPTIONS = frozenset({"verify", "ca_cert", "client_cert", "client_cert_key", "server_host_name"})


@dataclass(frozen=True, slots=True)
class Dsn:
    """The parts of a DSN. Its text never shows the password."""

    scheme: str
    host: str
    port: int
    username: str
    password: str
    path: str
    """chdb: the directory of the data; http: empty."""
    database: str
    options: Mapping[str, str]
    masked: str
    """What was written, with `***` for the password."""

    def __repr__(self) -> str:
        """Return where the DSN points, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = self.path if self.scheme == "chdb" else f"{host}:{self.port}"
        return f"{self.scheme}://{place}/{self.database}"


def parse_dsn(dsn: str) -> Dsn:
    """Return the parts of `http(s)://user:password@host:port/database` or `chdb:///path/database`.

    The database is the last part of the path, `otel_usage` when an HTTP DSN has none.

    Raises:
        SettingError: the DSN cannot be used. The text does not show it, for it may hold a password.
    """
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        raise _unusable_dsn() from None
    path, _, database = parts.path.rstrip("/").rpartition("/")
    database = unquote(database) or (DEFAULT_DATABASE if parts.scheme != "chdb" else "")
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    if not is_http and not (parts.scheme == "chdb" and not parts.netloc and path and database):
        raise _unusable_dsn()
    if is_http and path:
        raise SettingError(
            f"The DSN has the path {parts.path[:100]!r}, expected one name: the path of the DSN is one database name"
        )
    if not _IDENTIFIER.fullmatch(database):
        raise SettingError(
            f"The DSN names the database {database[:100]!r}, expected letters, digits and _ that do not begin with a digit"
        )
    options = dict(parse_qsl(parts.query))
    unknown = sorted(options.keys() - _TLS_OPTIONS) if is_http else sorted(options)
    if unknown:
        raise SettingError(
            f"The DSN has the option {unknown[0][:100]!r}, expected "
            + (f"one of: {', '.join(sorted(_TLS_OPTIONS))}" if is_http else "none")
        )
    return Dsn(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=port or (8443 if parts.scheme == "https" else 8123),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        path=unquote(path),
        database=database,
        options=options,
        masked=mask_password(dsn),
    )


def _unusable_dsn() -> SettingError:
    return SettingError(
        "The DSN cannot be used, expected http(s)://user:password@host:port/database or chdb:///path/database"
    )
