"""Storages that write each request to a stream: as it is, through a function, or as a line of an access log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from otel_usage.flask.storages.base import Writer
from otel_usage.reports.access_log import PROTOCOL, LogEntry, log_line


class PrintWriter(Writer):
    """Prints the data. For trying things out."""

    def store(self, data: dict[str, Any]) -> None:
        """Print the dictionary."""
        print(data)  # noqa: T201 - its purpose


PrintStorage = PrintWriter
"""Its name in the first versions of Flask-Track-Usage."""


class OutputWriter(Writer):
    """Writes the data to an object that is like a file."""

    def set_up(self, output: Any = None, transform: Callable[[dict[str, Any]], Any] | None = None) -> None:
        """Take the output.

        Args:
            output: an object with `write` and `writable`, and perhaps `flush`; None for stderr.
            transform: makes what is written of the data; None for `str`. Nothing is written between two.

        Raises:
            TypeError: the output lacks one of these methods.
            ValueError: it says that it cannot be written to.
        """
        self.output = _checked_output(output)
        self.transform: Callable[[dict[str, Any]], Any] = transform or str

    def store(self, data: dict[str, Any]) -> None:
        """Write what `transform` makes of the data, and flush if the output can."""
        _write(self.output, self.transform(data))


class ApacheLogWriter(Writer):
    """Writes Apache's combined log, one line a request, with the Referer that the client sent."""

    more_keys = ("referrer",)

    def set_up(self, output: Any = None) -> None:
        """Take the output, a stream of text; see `OutputWriter`."""
        self.output = _checked_output(output)

    def store(self, data: dict[str, Any]) -> None:
        """Write the line of the request."""
        _write(self.output, apache_line(data) + "\n")


def apache_line(data: dict[str, Any]) -> str:
    """Return the data of a request as a line of the combined log, without an end.

    A stream has no size when its response begins, so its line has a dash there.
    """
    method, _, rest = data["request"].partition(" ")
    parts = urlsplit(data["url"])
    return log_line(
        LogEntry(
            address=data["remote_addr"] or "",
            user=data["username"] or "",
            seconds=data["date"],
            method=method,
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            status=data["status"],
            size=data["content_length"],
            referrer=data.get("referrer") or "",
            user_agent=str(data["user_agent"]),
            protocol=_protocol(rest),
        )
    )


def _checked_output(output: Any) -> Any:
    output = sys.stderr if output is None else output
    for method in ("write", "writable"):
        if not hasattr(output, method):
            raise TypeError(
                f"The output is a {type(output).__name__} without a {method} method, expected a file-like object"
            )
    if not output.writable():
        raise ValueError(f"The output is a {type(output).__name__} that is not writable; open it for writing")
    return output


def _write(output: Any, text: Any) -> None:
    output.write(text)
    flush = getattr(output, "flush", None)
    if flush is not None:
        flush()


def _protocol(rest_of_request: str) -> str:
    last = rest_of_request.rpartition(" ")[2]
    return last if last.startswith("HTTP/") else PROTOCOL
