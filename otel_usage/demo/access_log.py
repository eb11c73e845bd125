"""Reads Apache's combined log format as requests that can be sent again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from otel_usage.importers.log_text import unescape
from otel_usage.importers.logged_request import split_request_line

MAX_LINE_BYTES = 65_536
MAX_TARGET = 8_000
"""Characters; the shop's server takes request lines of 8,190 bytes."""
MAX_HEADER = 4_096
UNKNOWN_ADDRESS = "127.0.0.1"
"""What a request counts under whose log line has no address but a host name: the proxy's own address."""

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
# Every part ends at a character that it cannot contain, so that no line is read twice however hostile it is.
_LINE = re.compile(
    rf"([A-Za-z0-9._:%-]+) \S+ [^\"\[]*\[[^\]]*\] {_QUOTED} (?:\d{{3}}|-) (?:\d+|-) {_QUOTED} {_QUOTED}"
)
_METHOD = re.compile(r"[A-Z]{3,20}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_KEPT_IN_TARGET = "!$%&'()*+,/:;=?@[]~|^`{}\"<>\\"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request of the log. Texts are latin-1, byte for byte, as HTTP headers are sent."""

    method: str
    target: str
    """Path and query, ready for a request line."""
    client: str
    """First field of the line: an address or a host name."""
    referrer: str
    user_agent: str

    @property
    def address(self) -> str:
        """The client's address in its usual form."""
        return _parse_address(self.client) or UNKNOWN_ADDRESS


@dataclass(slots=True)
class AccessLog:
    """A log file, read line by line; knows afterwards what it could not use."""

    path: Path
    lines: int = 0
    """Lines read; empty ones are none."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Lines that are no request that can be sent, by reason."""

    def requests(self, limit: int | None = None) -> Iterator[LoggedRequest]:
        """Yield the requests of the file in order, at most `limit`.

        Raises:
            OSError: the file cannot be read.
        """
        found = 0
        with self.path.open("rb") as file:
            for line in _lines(file):
                if limit is not None and found >= limit:
                    return
                self.lines += 1
                request = parse_line(line)
                if isinstance(request, LoggedRequest):
                    found += 1
                    yield request
                else:
                    self.skipped[request] += 1


def parse_line(line: str) -> LoggedRequest | str:
    """Return the request of a line, or in a few words why there is none.

    Args:
        line: a line of the log without its end, bytes read as latin-1.
    """
    found = _LINE.match(line) if len(line) <= MAX_LINE_BYTES else None
    if found is None:
        return "not in the combined log format"
    client, request_line, referrer, user_agent = found.groups()
    if ":" in client and _parse_address(client) is None:
        return "no address at the beginning"
    method, target = split_request_line(unescape(request_line))
    if not _METHOD.fullmatch(method):
        return "no HTTP request on the line"
    target = _to_target(target)
    if not target:
        return "no path in the request"
    if len(target) > MAX_TARGET:
        return "target too long"
    return LoggedRequest(method, target, client, _to_header(referrer), _to_header(user_agent))


def _lines(file: BinaryIO) -> Iterator[str]:
    """Yield lines that are not empty; of one that is too long comes one character more than a line may have."""
    while raw := file.readline(MAX_LINE_BYTES + 1):
        line = raw
        while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = file.readline(MAX_LINE_BYTES + 1)
        text = line.decode("latin-1").rstrip("\r\n")
        if text.strip():
            yield text


def _parse_address(text: str) -> str | None:
    """Return an address in its usual form, None for a host name."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def _to_target(text: str) -> str:
    """Return path and query in the characters of a request line, empty when there is no path."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text):
        try:
            parts = urlsplit(text)
        except ValueError:
            return ""
        text = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not text.startswith("/"):
        return ""
    return quote(text.encode("latin-1"), safe=_KEPT_IN_TARGET)


def _to_header(text: str) -> str:
    """Return a logged header as it was sent; Apache writes a single dash for one that was not."""
    return "" if text == "-" else _CONTROL.sub(" ", unescape(text))[:MAX_HEADER].strip()
