"""Logs with a JSON object on each line: nginx with a `log_format` of one's own, and Caddy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from otel_usage.importers.logged_request import (
    LATEST_NS,
    NO_REQUEST,
    NO_STATUS,
    NO_TIME,
    LoggedRequest,
    ReadLines,
    iso_time_ns,
    log_time_ns,
    not_in_format,
)

JSON_FORMATS = ("nginx-json", "caddy-json")

_NUMBER = re.compile(r"\d{1,19}(?:\.\d{1,30})?", re.ASCII)
_GO_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ns|us|µs|ms|s)", re.ASCII)
_UNIT_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9}
_STATUS, _SIZE = re.compile(r"\d{3}", re.ASCII), re.compile(r"\d{1,18}", re.ASCII)


class JsonFormat:
    """Reads the lines of one of the two."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._read = _read_caddy if name == "caddy-json" else _read_nginx

    def read(self, lines: Sequence[str]) -> ReadLines:
        """Return what some lines say."""
        numbers, requests, refused = [], [], []
        for number, line in enumerate(lines):
            request = self._read_line(line)
            if isinstance(request, str):
                refused.append((number, request))
            else:
                numbers.append(number)
                requests.append(request)
        fields = list(zip(*requests, strict=True)) or [()] * len(LoggedRequest._fields)
        return ReadLines(numbers, fields, refused)

    def _read_line(self, line: str) -> LoggedRequest | str:
        fields = _object(line)
        if fields is None or isinstance(fields.get("request"), dict) != (self.name == "caddy-json"):
            return not_in_format(self.name)
        return self._read(fields)

    def clean(self, text: str) -> str:
        """Return a text of a request, which JSON has unescaped already."""
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")

    def is_complete(self, line: str) -> bool:
        """Return whether a line without an end is surely whole."""
        return _object(line) is not None


def _object(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        text = line if line.isascii() else line.encode("latin-1").decode("utf-8", "replace")
        # Numbers stay texts: a float has no room for the nanoseconds of today.
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _read_nginx(fields: Mapping[str, Any]) -> LoggedRequest | str:
    """Read the variables of nginx, each under its own name."""
    finished_ns = _nginx_time_ns(fields)
    if finished_ns is None:
        return NO_TIME
    status = fields.get("status")
    if not isinstance(status, str) or not _STATUS.fullmatch(status):
        return NO_STATUS
    request = _first(fields, "request")
    if not request:
        target = _first(fields, "request_uri") or _with_query(
            _first(fields, "uri"), _first(fields, "args", "query_string")
        )
        request = f"{_first(fields, 'request_method', 'method')} {target} {_first(fields, 'server_protocol') or 'HTTP/1.0'}"
    duration_ns = _seconds_ns(fields.get("request_time")) or 0
    return LoggedRequest(
        # nginx notes the time when it writes the line, which is when the answer is out.
        finished_ns - duration_ns,
        _first(fields, "remote_addr"),
        _first(fields, "remote_user"),
        request,
        status,
        _size(_first(fields, "body_bytes_sent", "bytes_sent")),
        _first(fields, "http_referer", "http_referrer"),
        _first(fields, "http_user_agent"),
        _first(fields, "host", "http_host", "server_name"),
        duration_ns,
        _first(fields, "scheme"),
        _first(fields, "http_accept_language"),
        _first(fields, "http_x_forwarded_for"),
    )


def _nginx_time_ns(fields: Mapping[str, Any]) -> int | None:
    if (seconds := _seconds_ns(fields.get("msec"))) is not None:
        return seconds
    for name in ("time_iso8601", "time_local", "time", "timestamp", "@timestamp"):
        text = fields.get(name)
        if isinstance(text, str) and text:
            return next(
                (
                    ns
                    for read in (_seconds_ns, iso_time_ns, log_time_ns)
                    if (ns := read(text[:64])) is not None
                ),
                None,
            )
    return None


def _read_caddy(fields: Mapping[str, Any]) -> LoggedRequest | str:
    """Read an entry of `http.log.access`, as Caddy 2 writes it with its JSON encoder."""
    request = fields["request"]
    stamp = fields.get("ts")
    finished_ns = None
    if isinstance(stamp, str):
        finished_ns = _seconds_ns(stamp[:64])
        if finished_ns is None:
            finished_ns = iso_time_ns(stamp[:64])
    if finished_ns is None:
        return NO_TIME
    status = fields.get("status")
    if not isinstance(status, str) or not _STATUS.fullmatch(status):
        return NO_STATUS
    method, target = _first(request, "method"), _first(request, "uri")
    if not method or not target:
        return NO_REQUEST
    headers = request.get("headers")
    headers = headers if isinstance(headers, dict) else {}
    duration_ns = _seconds_ns(fields.get("duration")) or _go_duration_ns(fields.get("duration"))
    return LoggedRequest(
        finished_ns - duration_ns,
        # `client_ip` follows Caddy's own trusted proxies; Caddy before 2.5 has `remote_addr` with the port.
        _first(request, "client_ip", "remote_ip", "remote_addr"),
        _first(fields, "user_id"),
        f"{method} {target} {_first(request, 'proto') or 'HTTP/1.1'}",
        status,
        _size(_first(fields, "size")),
        _header(headers, "Referer"),
        _header(headers, "User-Agent"),
        _first(request, "host"),
        duration_ns,
        "https" if isinstance(request.get("tls"), dict) else "http",
        _header(headers, "Accept-Language"),
        "" if request.get("client_ip") else _header(headers, "X-Forwarded-For"),
    )


def _first(fields: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that is a text and says something; nginx writes `-` or nothing for none."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value and value != "-":
            return value
    return ""


def _header(headers: Mapping[str, Any], name: str) -> str:
    values = headers.get(name)
    value = values[0] if isinstance(values, list) and values else values
    return value if isinstance(value, str) else ""


def _with_query(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _size(text: str) -> str:
    return text if _SIZE.fullmatch(text) else ""


def _seconds_ns(value: object) -> int | None:
    """Return a number of seconds as nanoseconds, None if it is none."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    nanoseconds = int(Decimal(value) * 10**9)
    return nanoseconds if nanoseconds < LATEST_NS else None


def _go_duration_ns(value: object) -> int:
    found = _GO_DURATION.fullmatch(value) if isinstance(value, str) else None
    return int(Decimal(found[1]) * _UNIT_NS[found[2]]) if found else 0
