"""Requests as lines of Apache's combined log, escaped as Apache does it: whatever a client sent stays in its field."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import NamedTuple, TextIO
from urllib.parse import quote

from otel_usage.reports.model import ReportResult

REPORT = "access_log"
NOTHING = "-"
PROTOCOL = "HTTP/1.1"
"""Stands at the end of a request line whose protocol is not known: what reads such logs wants one."""

# Not by the locale of the process: readers know the English names alone.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAMED_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f\x7f-\U0010ffff]')
_UNSAFE_BARE = re.compile(r"[^!#-Z^-~]")
"""Spaces, quotes, brackets and backslashes, beside what is always escaped."""
_UNSAFE_IN_URL = re.compile(r"[^!$&'()*+,\-./0-9:;=@A-Z_a-z~\x80-\U0010ffff]")


class LogEntry(NamedTuple):
    """One request. Texts are untrusted and unescaped; empty ones, and no size, are written as a dash."""

    address: str
    user: str
    seconds: int
    """Since the epoch, when the request came."""
    method: str
    target: str
    """Path and query."""
    status: int
    size: int | None
    """Bytes of the body."""
    referrer: str
    user_agent: str
    protocol: str = PROTOCOL


def log_line(entry: LogEntry) -> str:
    r"""Return `%h - %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`, without an end.

    The time is in UTC. Apache writes a user as it is; here what could end the field is escaped in one too, so that no
    name can pass for the fields that follow.
    """
    request = f"{entry.method} {entry.target} {entry.protocol}"
    return (
        f"{_bare(entry.address)} - {_bare(entry.user)} [{_log_time(entry.seconds)}] "
        f'"{escape(request)}" {entry.status:03d} {entry.size or NOTHING} '
        f'"{escape(entry.referrer) or NOTHING}" "{escape(entry.user_agent) or NOTHING}"'
    )


def escape(text: str) -> str:
    r"""Return a text with quotes, backslashes and all that is no printable ASCII escaped, such as `\"` and `\xc3`."""
    return _TO_ESCAPE.sub(_escaped, text)


def request_target(path: str, query: str) -> str:
    """Return a decoded path and its query as they stand in a URL; letters that are not ASCII stay readable."""
    quoted = _UNSAFE_IN_URL.sub(lambda found: quote(found[0], safe=""), path)
    return f"{quoted}?{query}" if query else quoted


def write_log(result: ReportResult, output: TextIO) -> None:
    """Write the rows of the report `access_log` as log lines."""
    column = {name: index for index, name in enumerate(result.columns)}
    for row in result.rows:
        entry = LogEntry(
            row[column["client_address"]],
            row[column["user_id"]],
            _seconds(row[column["timestamp"]]),
            row[column["method"]],
            request_target(row[column["path"]], row[column["query"]]),
            row[column["status_code"]],
            row[column["bytes_sent"]],
            row[column["referrer"]],
            row[column["user_agent"]],
        )
        output.write(log_line(entry) + "\n")


def _seconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(f"{timestamp[:19]}+00:00").timestamp())


def _bare(text: str) -> str:
    """Return a field that stands without quotes."""
    return _UNSAFE_BARE.sub(_as_bytes, text) or NOTHING


def _log_time(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime(f"%d/{_MONTHS[moment.month - 1]}/%Y:%H:%M:%S +0000")


def _escaped(found: re.Match[str]) -> str:
    return _NAMED_ESCAPES.get(found[0]) or _as_bytes(found)


def _as_bytes(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "replace"))
