"""Who is meant: the user, visit, visitor or address that an operator names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from otel_usage.attributes import MAX_NAME

USER, VISIT, VISITOR, ADDRESS = "user", "visit", "visitor", "address"
ADDRESS_HASH = "address_hash"

_KEY = re.compile(r"[0-9a-fA-F]{32}")
_NOBODY = "0" * 32


@dataclass(frozen=True, slots=True)
class Selector:
    """One person, by the one thing that is known of them."""

    kind: str
    """`user`, `visit`, `visitor` or `address`."""
    value: str
    """The user's id, 32 hex digits, or the address as text."""
    address_hash: str = ""
    """The address as the policy `hashed` stores it; empty when the secret is not known."""

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """Each (kind, value) to look for."""
        own = (self.kind, self.value)
        return (own, (ADDRESS_HASH, self.address_hash)) if self.address_hash else (own,)


def parse_selector(
    *,
    user: str | None = None,
    visit: str | None = None,
    visitor: str | None = None,
    address: str | None = None,
) -> Selector:
    """Return the one selector that is given.

    Raises:
        ValueError: none or several are given, or the value is none; says what was expected.
    """
    given = {
        kind: value
        for kind, value in ((USER, user), (VISIT, visit), (VISITOR, visitor), (ADDRESS, address))
        if value is not None
    }
    if len(given) != 1:
        raise ValueError("Who? Expected one of: --user ID, --visit KEY, --visitor ID, --address IP")
    kind, value = next(iter(given.items()))
    if kind == USER:
        return Selector(USER, _user(value))
    return Selector(kind, _address(value) if kind == ADDRESS else _key(kind, value))


def _user(value: str) -> str:
    if not value or not _is_text(value):
        raise ValueError(f"--user is {value[:100]!a}, expected the user's id as `events` has it")
    # As it was stored.
    return value[:MAX_NAME]


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _key(kind: str, value: str) -> str:
    if not _KEY.fullmatch(value) or value == _NOBODY:
        raise ValueError(f"--{kind} is {value[:100]!a}, expected 32 hex digits, as `visits` has them")
    return value.lower()


def _address(value: str) -> str:
    try:
        parsed = ip_address(value)
    except ValueError:
        raise ValueError(f"--address is {value[:100]!a}, expected an IPv4 or IPv6 address") from None
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:
            raise ValueError(f"--address is {value[:100]!a}, expected an address without a zone")
        if not int(parsed):
            raise ValueError("--address is '::', which stands for everybody whose address is unknown")
        return str(parsed.ipv4_mapped or parsed)
    return str(parsed)
