"""A visitor's browser as far as the demo needs one: a connection, cookies, and the address it shows to proxies."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode

REQUEST_TIMEOUT_SECONDS = 30.0
_IDLE_SECONDS = 1.0
"""A connection that has been idle so long is not used again: uvicorn closes it after 5 seconds, gunicorn's threads
after 2, and a request that meets the closing is lost."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, after the whole body was read."""

    status: int
    location: str


@dataclass(slots=True)
class CookieJar:
    """The cookies of one visitor; one that refuses them stays empty."""

    accepts: bool = True
    values: dict[str, str] = field(default_factory=dict)

    def read(self, response: HTTPResponse) -> None:
        """Keep what the response sets, and forget what it empties."""
        for header in response.headers.get_all("Set-Cookie") or () if self.accepts else ():
            name, _, value = header.partition(";")[0].partition("=")
            if value:
                self.values[name.strip()] = value.strip()
            else:
                self.values.pop(name.strip(), None)

    def header(self) -> dict[str, str]:
        """Return the Cookie header, if there is anything to say."""
        return (
            {"Cookie": "; ".join(f"{name}={value}" for name, value in self.values.items())}
            if self.values
            else {}
        )


class Connection:
    """Keeps one connection to the shop and opens it again when the shop has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._http = HTTPConnection(host, port, timeout=REQUEST_TIMEOUT_SECONDS)
        self._used_at = 0.0

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        *,
        form: tuple[tuple[str, str], ...] = (),
        jar: CookieJar | None = None,
    ) -> Answer:
        """Send one request and read its whole answer.

        Raises:
            OSError: the shop did not answer.
            http.client.HTTPException: it answered, but not in HTTP.
        """
        body = urlencode(form).encode("ascii") if form else None
        sent = dict(headers)
        if form:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if jar is not None:
            sent.update(jar.header())
        if time.monotonic() - self._used_at > _IDLE_SECONDS:
            self._http.close()
        try:
            self._http.request(method, target, body, sent)
            self._acknowledge_at_once()
            response = self._http.getresponse()
            response.read()
            self._used_at = time.monotonic()
        except Exception:
            # Half a request may be on its way: the next one starts with a connection of its own.
            self._http.close()
            raise
        if jar is not None:
            jar.read(response)
        return Answer(response.status, response.headers.get("Location", ""))

    def _acknowledge_at_once(self) -> None:
        # Under uvicorn with several workers, the body of an answer waits until its head is acknowledged (Nagle's
        # algorithm), and Linux takes 40 ms for that unless it is told to hurry, once per answer.
        if self._http.sock is not None and hasattr(socket, "TCP_QUICKACK"):
            self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def close(self) -> None:
        self._http.close()
