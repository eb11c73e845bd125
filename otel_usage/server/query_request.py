"""What one request to the ClickHouse HTTP interface asks for, read from its URL and headers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import NoReturn
from urllib.parse import parse_qsl

from otel_usage.server.bodies import BodyError
from otel_usage.server.sessions import DEFAULT_SESSION_SECONDS
from otel_usage.server.sql_tokens import SqlRefused

DEFAULT_USER = "default"
_NOT_SETTINGS = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "password",
        "query",
        "query_id",
        "quota_key",
        "readonly",
        "role",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)
"""Parameters of the URL that are no settings of the engine."""

_MAX_FIELDS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRequest:
    """One request, without its body."""

    query: bytes
    database: str
    """Empty when none is named."""
    default_format: str
    query_id: str
    session_id: str
    session_seconds: float
    close_session: bool
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    """Values of `{name:Type}`."""
    protocol_version: int
    """Of the TCP protocol, which says how the format Native is framed; 0 when none is named."""
    decompress: bool
    compress: bool
    """The answer is wanted in ClickHouse's own compressed blocks."""
    compress_response: bool
    """The answer may have a Content-Encoding."""
    reads_only: bool
    """The statement must not change anything. No setting of the handle: it could never be taken back."""

    @classmethod
    def read(
        cls, method: str, query_string: bytes, headers: Mapping[str, str], form: bytes = b""
    ) -> QueryRequest:
        """Return what the request asks for.

        Args:
            method: GET allows statements that only read.
            query_string: of the URL.
            headers: by lower-case name.
            form: body of a `multipart/form-data` request, whose fields count as parameters of the URL.

        Raises:
            BodyError: the parameters cannot be read.
            SqlRefused: something is asked for that this server does not do; or wrong credentials.
        """
        fields = _fields_of(query_string)
        if form:
            fields |= _form_fields(form, headers["content-type"])
        _check_credentials(fields, headers)
        return cls(
            query=fields.get("query", "").encode("utf-8", "surrogateescape"),
            database=_database(fields.get("database") or headers.get("x-clickhouse-database", "")),
            default_format=fields.get("default_format")
            or headers.get("x-clickhouse-format")
            or "TabSeparated",
            query_id=fields.get("query_id", ""),
            session_id=fields.get("session_id", ""),
            session_seconds=_whole_number(fields, "session_timeout", default=int(DEFAULT_SESSION_SECONDS)),
            close_session=fields.get("close_session") == "1",
            settings={
                name: value
                for name, value in fields.items()
                if name not in _NOT_SETTINGS
                and not name.startswith("param_")
                and name != "enable_http_compression"
            },
            parameters={name[6:]: value for name, value in fields.items() if name.startswith("param_")},
            protocol_version=_whole_number(fields, "client_protocol_version", default=0),
            decompress=fields.get("decompress") == "1",
            compress=wants_blocks(query_string),
            compress_response=fields.get("enable_http_compression", "0") in ("1", "true"),
            reads_only=method in ("GET", "HEAD") or fields.get("readonly", "0") != "0",
        )


def wants_blocks(query_string: bytes) -> bool:
    """Return whether the answer, also an error, is wanted in ClickHouse's own compressed blocks."""
    return b"compress=1" in query_string.split(b"&")


def _fields_of(query_string: bytes) -> dict[str, str]:
    try:
        text = query_string.decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise BodyError(f"The parameters of the URL cannot be read: {str(error)[:200]}", 400, 36) from None


def _form_fields(form: bytes, content_type: str) -> dict[str, str]:
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + form
    )
    fields: dict[str, str] = {}
    for part in message.iter_parts() if message.is_multipart() else []:
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None:
            raise SqlRefused(
                "External tables in a form are not supported. Insert the rows into a temporary table", 48
            )
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            _refuse_form()
        fields[name] = content.decode("utf-8", "surrogateescape")
    if not fields:
        _refuse_form()
    return fields


def _refuse_form() -> NoReturn:
    raise BodyError("The multipart form cannot be read, expected fields with a name", 400, 36)


def _check_credentials(fields: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Refuse any user but `default` without password.

    Whoever can reach the loopback port is trusted, so a password would protect nothing. A client that sends one
    means another server, and should hear so.
    """
    user = fields.get("user") or headers.get("x-clickhouse-user") or DEFAULT_USER
    password = fields.get("password") or headers.get("x-clickhouse-key") or ""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if encoded:
        if scheme.lower() != "basic":
            raise SqlRefused("Only basic authentication is understood, and none is needed", code=516)
        user, password = _basic_credentials(encoded)
    if (user or DEFAULT_USER) != DEFAULT_USER or password:
        raise SqlRefused(
            "Authentication failed: this embedded server knows only the user 'default' without password. "
            "Leave user and password out of the DSN",
            code=516,
        )


def _basic_credentials(encoded: str) -> tuple[str, str]:

    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise SqlRefused("The Authorization header cannot be read", code=516) from None
    return user, password


def _database(name: str) -> str:
    """Return the database asked for; the engine's own `default` stands for the server's default one."""
    return "" if name == "default" else name


def _whole_number(fields: Mapping[str, str], name: str, *, default: int) -> int:
    text = fields.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise SqlRefused(f"{name} is {text[:50]!a}, expected a whole number below 100000000", code=36)
    return int(text)
