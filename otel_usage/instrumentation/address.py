"""Where a request came from, and how much of that is kept."""

from __future__ import annotations

import hmac
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from otel_usage.model import RequestFacts
from otel_usage.settings import TrustedProxies
from otel_usage.visits.keys import derive_key

_LONGEST_ELEMENT = 64
"""Characters; an IPv6 address with brackets, zone and port is shorter."""
_MAX_ELEMENTS = 64
_HASH_LENGTH = 16


@lru_cache(maxsize=4096)
def parse_address(text: str) -> str | None:
    """Return the address of a forwarding element in its usual form, None if it is none.

    Takes a port, brackets and quotes off; an IPv4 address that is mapped into IPv6 comes back as IPv4.
    """
    host, port = text.strip().strip('"'), ""
    if host.startswith("["):
        host, bracket, port = host[1:].partition("]")
        if not bracket or ":" not in host or (port and not port.startswith(":")):
            return None
        port = port[1:]
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return None
    try:
        address = ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


class AddressResolver:
    """Finds the client's address. A forwarding header is believed only as far as its proxies are trusted."""

    def __init__(self, trusted_proxies: TrustedProxies) -> None:
        self._hops = trusted_proxies if isinstance(trusted_proxies, int) else 0
        networks = () if isinstance(trusted_proxies, int) else trusted_proxies
        # Looked up once per proxy, not per request: a match against a list of networks takes microseconds.
        self._is_trusted = lru_cache(maxsize=1024)(
            lambda address: any(ip_address(address) in network for network in networks)
        )
        self._believes_nobody = not self._hops and not networks

    def is_trusted(self, peer_address: str) -> bool:
        """Return whether the peer is a proxy whose headers are believed."""
        if self._believes_nobody:
            return False
        peer = parse_address(peer_address)
        return self._hops > 0 or (peer is not None and self._is_trusted(peer))

    def client_address(self, facts: RequestFacts) -> str:
        """Return the client's address, empty when it is unknown.

        The header is read from right to left. With networks, the first address that is not a trusted proxy's
        is the client; with a number of hops, the element at that place from the right. An element that is no
        address ends the walk: then the last believed hop is the client.
        """
        client = parse_address(facts.peer_address) or ""
        if self._believes_nobody or not facts.forwarded_for or not self.is_trusted(facts.peer_address):
            return client
        # Cut from the right: what a hostile client put at the left is not even split.
        elements = facts.forwarded_for.rsplit(",", _MAX_ELEMENTS)[-_MAX_ELEMENTS:]
        for position, element in enumerate(reversed(elements), 1):
            address = parse_address(element) if len(element) <= _LONGEST_ELEMENT else None
            if address is None:
                return client
            client = address
            if position == self._hops or (not self._hops and not self._is_trusted(address)):
                return client
        return client


class KeptAddress(NamedTuple):
    """What the policy leaves of an address."""

    address: str
    hashed: str


class AddressPolicy:
    """Applies the setting `IP` before any span or row sees the address."""

    def __init__(self, policy: str, secret: str | bytes) -> None:
        self.keeps_everything = policy == "full"
        self._policy = policy
        self._key = derive_key(secret, "client address")

    def apply(self, address: str) -> KeptAddress:
        """Return what is kept: the address as it is, its network, a keyed hash of 32 hex digits, or nothing."""
        if self.keeps_everything:
            return KeptAddress(address, "")
        if not address or self._policy == "off":
            return KeptAddress("", "")
        if self._policy == "masked":
            return KeptAddress(_network_address(address), "")
        return KeptAddress("", hmac.digest(self._key, address.encode(), "sha256")[:_HASH_LENGTH].hex())


@lru_cache(maxsize=4096)
def _network_address(address: str) -> str:
    bits = 24 if ip_address(address).version == 4 else 48
    return str(ip_network(f"{address}/{bits}", strict=False).network_address)
