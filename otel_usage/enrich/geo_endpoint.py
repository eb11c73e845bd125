"""A service that answers over HTTP, in JSON, where an address is."""

from __future__ import annotations

import json
import logging
import os
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from otel_usage.enrich.geo_answer import NOWHERE, read_answer
from otel_usage.enrich.geo_background import SourceUnavailable
from otel_usage.log_throttle import LogThrottle
from otel_usage.model import Attributes

if TYPE_CHECKING:
    from urllib3 import PoolManager

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 2.0
_MAX_BYTES = 64 * 1024
_UNKNOWN_ADDRESS = frozenset({400, 404, 422})
"""By which services say that they know nothing of one address."""
_NEVER_SENT = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",
        "::/127",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    )
)
"""Addresses inside of networks, of which nobody outside knows anything but their owner."""


@lru_cache(maxsize=16_384)
def address_to_send(address: str, *, whole: bool) -> str:
    """Return what a service is told of an address, empty when it is not to be told of it.

    Args:
        address: of the client.
        whole: the address itself; else the first address of its network, /24 of IPv4 and /48 of IPv6.
    """
    try:
        given = ip_address(address)
    except ValueError:
        return ""
    parsed = (given.ipv4_mapped or given) if isinstance(given, IPv6Address) else given
    if any(parsed in network for network in _NEVER_SENT if network.version == parsed.version):
        return ""
    if whole:
        return str(parsed)
    network = ip_network(f"{parsed}/{24 if parsed.version == 4 else 48}", strict=False)
    return str(network.network_address)


class GeoEndpoint:
    """Asks a service.

    Args:
        url: its address, in which `{ip}` stands for that of the client; without it, that is appended.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._host = urlsplit(url).hostname
        self._pool: PoolManager | None = None
        self._pool_pid = 0
        self._is_understood = False
        self._log = LogThrottle(86_400)

    @property
    def name(self) -> str:
        """What the log calls it: the rest of the address may hold a key."""
        return f"The endpoint of OTEL_USAGE_GEO_ENDPOINT ({self._host})"

    def prepare(self) -> None:
        """Import what speaks HTTP."""
        self._connections()

    def ask(self, address: str) -> Attributes:
        """Return what the service says of an address.

        Raises:
            SourceUnavailable: it gives no usable answer within `TIMEOUT_SECONDS`.
        """
        import urllib3

        quoted = quote(address, safe="")
        url = self._url.replace("{ip}", quoted) if "{ip}" in self._url else self._url + quoted
        try:
            response = self._connections().request(
                "GET", url, preload_content=False, decode_content=False, redirect=False, retries=False
            )
            try:
                body = response.read(_MAX_BYTES + 1)
            finally:
                # Not given back: what was not read would stand before the next answer.
                response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # Without its text, which has the address in it.
            raise SourceUnavailable(f"gave no answer ({type(error).__name__})") from None
        found = _read(response.status, body)
        self._is_understood = self._is_understood or bool(found)
        if not self._is_understood:
            self._log.log(
                logger,
                logging.WARNING,
                "%s has not named a country yet. Expected JSON with country_code or country, of two letters; "
                "its documentation may ask for a key",
                self.name,
            )
        return found

    def _connections(self) -> PoolManager:
        # A forked child leaves its parent's sockets alone.
        if self._pool is None or self._pool_pid != os.getpid():
            import urllib3

            self._pool_pid = os.getpid()
            self._pool = urllib3.PoolManager(
                timeout=urllib3.Timeout(total=TIMEOUT_SECONDS),
                headers={"User-Agent": "otel-usage", "Accept": "application/json"},
            )
        return self._pool


def _read(status: int, body: bytes) -> Attributes:
    if status in _UNKNOWN_ADDRESS:
        return NOWHERE
    if status != 200:
        raise SourceUnavailable(f"answered with status {status}, expected 200")
    if len(body) > _MAX_BYTES:
        raise SourceUnavailable(
            f"answered with more than {_MAX_BYTES // 1024} KiB, expected a short JSON object"
        )
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise SourceUnavailable("answered with something else than a JSON object")
    return read_answer(answer)
