"""The body of a call as fields: a form, JSON, or the text of a beacon that holds either."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.errors import MessageError
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

_MAX_FIELDS = 100


class BadBody(ValueError):
    """The body is not what its type says; the text says what is wrong, and is for the client."""


class UnknownMediaType(ValueError):
    """The body is of a type that is not read; the text is for the client."""


def read_fields(content_type: str, body: bytes) -> Mapping[str, Any]:
    """Return the fields of a body; of a field that comes twice, the last value.

    Args:
        content_type: the header; text of a beacon is told by its first character.
        body: all of it.

    Raises:
        BadBody: it cannot be read as what it says it is.
        UnknownMediaType: it is neither a form, nor JSON, nor text.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if not body.strip():
        return {}
    if media_type in ("", "text/plain"):
        return (
            _json_fields(body)
            if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
            else _form_fields(body)
        )
    if media_type in ("application/json", "text/json") or media_type.endswith("+json"):
        return _json_fields(body)
    if media_type == "application/x-www-form-urlencoded":
        return _form_fields(body)
    if media_type == "multipart/form-data":
        return _multipart_fields(content_type, body)
    raise UnknownMediaType(f'Unsupported media type "{_shown(media_type)}" in request.')


def _json_fields(body: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        # The decoder's own words would quote the body.
        raise BadBody("JSON parse error - the body is no JSON in UTF-8.") from None
    if not isinstance(fields, dict):
        raise BadBody(f"Invalid data. Expected a dictionary, but got {type(fields).__name__}.")
    return fields


def _form_fields(body: bytes) -> Mapping[str, Any]:
    try:
        text = body.decode("utf-8", "replace")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace"))
    except ValueError:
        raise BadBody(f"Form parse error - more than {_MAX_FIELDS} fields.") from None


def _multipart_fields(content_type: str, body: bytes) -> Mapping[str, Any]:
    header = content_type.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")
    try:
        message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + header + b"\r\n\r\n" + body)
        parts = message.get_payload()
        if not isinstance(parts, list):
            raise BadBody("Multipart form parse error - the parts cannot be told apart.")
        fields: dict[str, Any] = {}
        for part in parts[:_MAX_FIELDS]:
            if isinstance(part, str):
                continue
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(content, bytes):
                fields[name] = content.decode("utf-8", "replace")
        return fields
    except BadBody:
        raise
    # What the parser makes of rubbish has had many names over the versions of Python.
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, IndexError, RecursionError):
        raise BadBody("Multipart form parse error - the body cannot be read.") from None


def _shown(media_type: str) -> str:
    return "".join(
        letter for letter in media_type[:64] if letter.isascii() and letter.isprintable() and letter != '"'
    )
