r"""Apache's and nginx' text formats: common, combined, and combined with the virtual host before it.

- `common`: `%h %l %u %t "%r" %>s %b`
- `combined`: the same, then `"%{Referer}i" "%{User-Agent}i"`; what follows these is passed over
- `vhost-combined`: `%v:%p`, then `combined`, with or without the port

Both servers write what is not printable as `\xhh`, and Apache a quote as `\"`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from otel_usage.importers.logged_request import NO_TIME, LoggedRequest, ReadLines, log_time_ns, not_in_format

TEXT_FORMATS = ("vhost-combined", "combined", "common")

# Every part ends at a character that it cannot contain, so that no line is read twice however hostile it is.
_HEAD = r"([^ \"]+) [^ \"]+ ([^\[\"]*?) \[([^\]\"]{1,64})\] "
_PLAIN, _ESCAPED_TEXT = r'"([^"\\]*)"', r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_NUMBERS = r" (\d{3}) (\d{1,18}|-)"


def _expression(name: str, quoted: str) -> re.Pattern[str]:
    # What begins with a dash instead of an address is the combined format, of a user with a space in the name.
    host = r"([^ \"\[]+) (?!- )" if name == "vhost-combined" else "()"
    tail = r'()()(?!\d| ")(.*)' if name == "common" else rf" {quoted} {quoted}(.*)"
    return re.compile(host + _HEAD + quoted + _NUMBERS + tail, re.ASCII | re.DOTALL)


_EXPRESSIONS = {name: (_expression(name, _PLAIN), _expression(name, _ESCAPED_TEXT)) for name in TEXT_FORMATS}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "b": "\b"}
_MOMENT = 3
"""Place of the time among the groups of an expression."""


class TextFormat:
    """Reads the lines of one text format."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._plain, self._escaped = _EXPRESSIONS[name]
        self._ends_with_number = name == "common"
        self._has_more_fields = False

    def read(self, lines: Sequence[str]) -> ReadLines:
        """Return what some lines say."""
        found = list(map(self._plain.match, lines))
        numbers: Sequence[int] = range(len(lines))
        refused: list[tuple[int, str]] = []
        if None in found:
            numbers = []
            for number, line in enumerate(lines):
                if found[number] is None and "\\" in line:
                    found[number] = self._escaped.match(line)
                if found[number] is None:
                    refused.append((number, not_in_format(self.name)))
                else:
                    numbers.append(number)
        rows = [match.groups() for match in found if match is not None]
        if not rows:
            return ReadLines((), [()] * len(LoggedRequest._fields), refused)
        self._has_more_fields = bool(rows[-1][-1])
        return _in_columns(numbers, rows, refused)

    def clean(self, text: str) -> str:
        """Return a field as it was sent: without escapes, and as UTF-8 where its bytes are."""
        text = unescape(text)
        return text if text.isascii() else text.encode("latin-1", "replace").decode("utf-8", "replace")

    def is_complete(self, line: str) -> bool:
        """Return whether a line without an end is surely whole: it ends with the quote of its last field."""
        if self._ends_with_number or self._has_more_fields:
            return False
        found = self._escaped.match(line)
        return found is not None and not found.groups()[-1]


def _in_columns(
    numbers: Sequence[int], rows: list[tuple[str, ...]], refused: list[tuple[int, str]]
) -> ReadLines:
    moments = {row[_MOMENT] for row in rows}
    times = {moment: log_time_ns(moment) for moment in moments}
    if None in times.values():
        refused += [
            (number, NO_TIME)
            for number, row in zip(numbers, rows, strict=True)
            if times[row[_MOMENT]] is None
        ]
        kept = [
            (number, row)
            for number, row in zip(numbers, rows, strict=True)
            if times[row[_MOMENT]] is not None
        ]
        numbers, rows = [number for number, _ in kept], [row for _, row in kept]
        if not rows:
            return ReadLines((), [()] * len(LoggedRequest._fields), refused)
    host, address, user, moment, request, status, size, referrer, agent, _ = zip(*rows, strict=True)
    nothing = [""] * len(rows)
    by_field = {
        "timestamp_ns": list(map(times.__getitem__, moment)),
        "address": address,
        "user": user,
        "request": request,
        "status": status,
        "size": size,
        "referrer": referrer,
        "user_agent": agent,
        "host": host,
        "duration_ns": [0] * len(rows),
    }
    return ReadLines(numbers, [by_field.get(field, nothing) for field in LoggedRequest._fields], refused)


def unescape(text: str) -> str:
    """Return a field without the escapes of the log; a byte is one character still."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code[1:], 16)) if len(code) == 3 else _ESCAPED.get(code, code)
