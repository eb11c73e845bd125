"""Who may ask: the Host and Origin checks in front of every port.

A web page that a developer visits can send requests to loopback ports from their browser. Such a request carries the
page's Origin, or another site's name as Host after DNS rebinding; both are refused before the app sees them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from otel_usage.errors import SettingError

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", re.IGNORECASE)


class AccessCheck:
    """ASGI middleware that answers 403 to requests from other hosts and other sites.

    Args:
        app: what stands behind it.
        allowed_hosts: names accepted besides those of loopback; with a port they are accepted with that port only.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it in one line."""
        refusal = self.refusal(scope["headers"]) if scope["type"] == "http" else "Only HTTP is spoken here"
        if not refusal:
            return await self._app(scope, receive, send)
        body = refusal.encode("ascii", "backslashreplace") + b"\n"
        headers = [
            (b"content-type", b"text/plain"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def refusal(self, headers: Collection[tuple[bytes, bytes]]) -> str:
        """Return why a request with these headers is refused, empty when it is not."""
        hosts = [value for name, value in headers if name == b"host"]
        host = hosts[0].decode("latin-1").strip().lower() if len(hosts) == 1 else ""
        if not (
            host in self._allowed or host_name(host) in self._allowed or is_loopback_name(host_name(host))
        ):
            return f"Host {host[:100]!a} is not accepted. Ask by a loopback name, or start with --allow-host"
        origins = [value.decode("latin-1").strip().lower() for name, value in headers if name == b"origin"]
        if any(origin not in (f"http://{host}", f"https://{host}") for origin in origins):
            return f"Origin {origins[0][:100]!a} is not accepted: requests from other sites are refused"
        for name, value in headers:
            # Requests for pictures and scripts carry no Origin; browsers say in this header where they come from.
            if name == b"sec-fetch-site" and value.strip().lower() in (b"cross-site", b"same-site"):
                return "Requests from other sites are refused"
        return ""


def check_allowed_host(host: str) -> None:
    """Refuse what can never stand in a Host header.

    Raises:
        SettingError: it is no name or address, with or without a port.
    """
    name = host_name(f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host)
    if not (_HOST_NAME.fullmatch(name) or _is_address(name)):
        raise SettingError(
            f"--allow-host is {host[:100]!r}, expected a name such as usage.example.org or usage.example.org:8123"
        )


def host_name(host: str) -> str:
    """Return the name in a Host header without its port; empty when it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return ""
    return parts.hostname or ""


def is_loopback_name(name: str) -> bool:
    """Return whether a name or address can only mean this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) and ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
