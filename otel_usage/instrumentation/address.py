"""Where a request came from, and how much of that is kept."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from otel_usage.model import RequestFacts
from otel_usage.setting_values import TrustedProxies
from otel_usage.visits.keys import derive_key

_LONGEST_ADDRESS = 64
"""Characters; an IPv6 address with brackets, zone and port is shorter."""
_LONGEST_FORWARDED_ELEMENT = 512
_LONGEST_HEADER = 4096
"""Characters that are read of a forwarding header, from its end; what a proxy added stands there."""
_MAX_ELEMENTS = 64
_HASH_LENGTH = 16

_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+)?)?"
_ZONE = r"(?:%[A-Za-z0-9._~%-]+)?"
_NODE = re.compile(
    rf"(?P<v4>[0-9.]+){_PORT}"
    rf"|\[(?P<bracketed>[0-9A-Fa-f:.]+){_ZONE}\]{_PORT}"
    rf"|(?P<v6>[0-9A-Fa-f:.]+){_ZONE}"
)
_MAPPED = IPv6Network("::ffff:0:0/96")

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FORWARDED_BEGINS = re.compile(rf"[ \t;]*{_NAME}=")
_BARE_VALUE = r'[^\x00-\x20\x7f-\U0010ffff",;\\]+'
_CONTROLS = r"\x00-\x08\x0a-\x1f\x7f"
_QUOTED_VALUE = rf'"(?P<quoted>(?:[^{_CONTROLS}"\\]|\\[^{_CONTROLS}])*)"'
# RFC 7239, but for two things that proxies do: spaces around the semicolon, and colons and brackets without quotes.
# No two repetitions stand side by side that take the same character, so that a hostile text costs linear time.
_FORWARDED_PAIR = re.compile(
    rf"[ \t;]*(?:(?P<name>{_NAME})=(?:(?P<bare>{_BARE_VALUE})|{_QUOTED_VALUE})[ \t]*)?(?:;|\Z)"
)


def parse_address(text: str) -> str | None:
    """Return the address of a peer or of a forwarding element in its usual form, None if it is none.

    Takes a port, brackets and a zone off; an IPv4 address that is mapped into IPv6 comes back as IPv4.
    The unspecified address (`0.0.0.0`, `::`) is none, because nobody can have it.
    """
    # Long texts stay out of the cache: a client could fill it with them.
    return _parse_address(text) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=4096)
def _parse_address(text: str) -> str | None:
    node = _NODE.fullmatch(text.strip(" \t"))
    if node is None:
        return None
    try:
        if node["v4"]:
            address: IPv4Address | IPv6Address = IPv4Address(node["v4"])
        else:
            wide = IPv6Address(node["bracketed"] or node["v6"])
            address = wide.ipv4_mapped or wide
    except ValueError:
        return None
    return None if address.is_unspecified else str(address)


class _ForwardedElement(NamedTuple):
    """What one hop says in `Forwarded`: who came to it, None if that is no address, and by which protocol."""

    address: str | None
    proto: str


_SAYS_NOTHING = _ForwardedElement(None, "")


@lru_cache(maxsize=1024)
def _read_forwarded_element(text: str) -> _ForwardedElement:
    """Read the parameters of an element; one that breaks the syntax or repeats a name says nothing at all."""
    parameters: dict[str, str] = {}
    position = 0
    while position < len(text):
        pair = _FORWARDED_PAIR.match(text, position)
        if pair is None:
            return _SAYS_NOTHING
        position = pair.end()
        if not pair["name"]:
            continue
        name = pair["name"].lower()
        if name in parameters:
            return _SAYS_NOTHING
        parameters[name] = pair["bare"] or _unescaped(pair["quoted"])
    return _ForwardedElement(parse_address(parameters.get("for", "")), parameters.get("proto", "").lower())


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text


def _from_right(header: str) -> Iterator[str]:
    """Yield what stands between the commas, from right to left; of a huge header its end alone is looked at."""
    is_cut = len(header) > _LONGEST_HEADER
    rest, comma = header[-_LONGEST_HEADER:], ","
    for _ in range(_MAX_ELEMENTS):
        rest, comma, element = rest.rpartition(",")
        if comma or not is_cut:  # the cut may have made another address of the last one
            yield element
        if not comma:
            return


def _x_forwarded_for_hops(header: str) -> Iterator[str | None]:
    for element in _from_right(header):
        text = element.strip(" \t")
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        yield parse_address(text)


def _forwarded_elements(header: str) -> Iterator[_ForwardedElement]:
    """Yield the elements of `Forwarded` from right to left.

    A comma may stand between quotes. But where the text after it begins like an element, it always ends one:
    a client that opens a quote and leaves it open must not swallow what the proxy adds.
    """
    parts: list[str] = []
    for part in _from_right(header):
        parts.append(part)
        if _FORWARDED_BEGINS.match(part):
            element = ",".join(reversed(parts))
            parts.clear()
            is_usual = len(element) <= _LONGEST_FORWARDED_ELEMENT
            yield _read_forwarded_element(element) if is_usual else _SAYS_NOTHING
    if parts:
        yield _SAYS_NOTHING


def _claimed_hops(facts: RequestFacts) -> Iterable[str | None]:
    """Return the addresses of the forwarding headers from right to left, None for an element that is no address.

    Where both headers are there, a hop counts only if both name it: a proxy that knows one of them lets the
    other through as the client wrote it, and nothing tells which one that is.
    """
    if not facts.forwarded:
        return _x_forwarded_for_hops(facts.forwarded_for)
    forwarded = (element.address for element in _forwarded_elements(facts.forwarded))
    if not facts.forwarded_for:
        return forwarded
    pairs = zip(_x_forwarded_for_hops(facts.forwarded_for), forwarded, strict=False)
    return (one if one == other else None for one, other in pairs)


def _masks_of(networks: Iterable[IPv4Network | IPv6Network]) -> dict[int, list[tuple[int, int]]]:
    """Return the mask and the first number of each network, by IP version."""
    masks: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for network in networks:
        if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
            # Addresses are compared in their usual form, and a mapped one is IPv4 there.
            network = IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
        masks[network.version].append((int(network.netmask), int(network.network_address)))
    return masks


class AddressResolver:
    """Finds the client's address. A forwarding header is believed only as far as its proxies are trusted."""

    def __init__(self, trusted_proxies: TrustedProxies) -> None:
        self._hops = trusted_proxies if isinstance(trusted_proxies, int) else 0
        masks = _masks_of(() if isinstance(trusted_proxies, int) else trusted_proxies)

        # Numbers and a cache, because `in` an IPv4Network takes microseconds, for each network and each request.
        @lru_cache(maxsize=4096)
        def is_in_networks(address: str) -> bool:
            parsed = ip_address(address)
            number = int(parsed)
            return any(number & mask == first for mask, first in masks[parsed.version])

        self._is_trusted = is_in_networks
        self._believes_nobody = not self._hops and not any(masks.values())

    def is_trusted(self, peer_address: str) -> bool:
        """Return whether the peer is a proxy whose headers are believed."""
        if self._believes_nobody:
            return False
        peer = parse_address(peer_address)
        return self._hops > 0 or (peer is not None and self._is_trusted(peer))

    def client_address(self, facts: RequestFacts) -> str:
        """Return the client's address, empty when it is unknown.

        `X-Forwarded-For` and `Forwarded` (RFC 7239) are read from right to left. With networks, the first
        address that is not a trusted proxy's is the client; with a number of hops, the element at that place
        from the right. An element that is no address ends the walk: then the last believed hop is the client.
        With both headers, the walk ends where they begin to differ.
        """
        client = parse_address(facts.peer_address) or ""
        if self._believes_nobody or not (facts.forwarded_for or facts.forwarded):
            return client
        if not self.is_trusted(facts.peer_address):
            return client
        for position, address in enumerate(_claimed_hops(facts), 1):
            if address is None:
                return client
            client = address
            if self._ends_at(position, address):
                return client
        return client

    def client_scheme(self, facts: RequestFacts) -> str:
        """Return `https` where the client itself came by it, else the scheme of the connection to the app.

        A trusted proxy says so in `X-Forwarded-Proto`, where the client's own protocol is the first of a list,
        or in that element of `Forwarded` at which the walk to the client ends: an inner hop may well be plain.
        One of them is enough. A lie costs the liar his own cookie; a `Secure` too few could cost an honest
        client his, on the wire.
        """
        if facts.scheme == "https":
            return "https"
        if not (facts.forwarded_proto or facts.forwarded) or not self.is_trusted(facts.peer_address):
            return facts.scheme
        first = facts.forwarded_proto[:_LONGEST_ADDRESS].partition(",")[0]
        if first.strip(" \t").lower() == "https":
            return "https"
        proto = ""
        for position, element in enumerate(_forwarded_elements(facts.forwarded), 1):
            proto = element.proto
            if element.address is None or self._ends_at(position, element.address):
                break
        return "https" if proto == "https" else facts.scheme

    def _ends_at(self, position: int, address: str) -> bool:
        """Return whether the walk found the client: at the last of so many hops, or at nobody's proxy."""
        return position == self._hops or (not self._hops and not self._is_trusted(address))


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
