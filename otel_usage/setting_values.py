"""Reads the text of a setting as its value. What each of these raises, a ValueError, says what was expected."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias
from urllib.parse import urlsplit

TrustedProxies: TypeAlias = int | tuple[IPv4Network | IPv6Network, ...]
"""A number of hops, or the networks whose word is believed; an empty tuple believes only the peer."""

Patterns: TypeAlias = tuple[re.Pattern[str], ...]

COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
COOKIE_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
COOKIE_PATH = re.compile(r"/[^;,\x00-\x20\x7f]*")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
DOTTED_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*[.:][^\W\d]\w*")


def text(text: str) -> str:
    return text


def boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return text.lower() == "true"


def choices(*choices: str) -> Callable[[str], tuple[str, ...]]:
    expected = "expected one or more of these, separated by commas: " + ", ".join(choices)

    def parse(text: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
        if not words or not set(words) <= set(choices):
            raise ValueError(expected)
        return words

    return parse


def seconds(*, at_most: float) -> Callable[[str], float]:
    expected = f"expected a number of seconds above 0 and up to {at_most:.0f}"

    def parse(text: str) -> float:
        # isascii: float() would also take other scripts' digits and underscores.
        try:
            number = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            number = math.nan
        if not 0.0 < number <= at_most:  # also refuses nan
            raise ValueError(expected)
        return number

    return parse


def whole_number(*, at_least: int, at_most: int) -> Callable[[str], int]:
    expected = f"expected a whole number from {at_least} to {at_most}"

    def parse(text: str) -> int:
        # isascii: int() would also take other scripts' digits and underscores.
        if not (text.isascii() and text.isdigit() and len(text) < 16) or not at_least <= int(text) <= at_most:
            raise ValueError(expected)
        return int(text)

    return parse


def choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError("expected one of: " + ", ".join(choices))

    return parse


def matching(pattern: re.Pattern[str], expected: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"expected {expected}")
        return text

    return parse


def patterns(text: str) -> Patterns:
    try:
        return tuple(re.compile(part.strip()) for part in text.split(",") if part.strip())
    except re.error as error:
        raise ValueError(f"expected comma-separated regular expressions ({error})") from None


def trusted_proxies(text: str) -> TrustedProxies:
    if text.isascii() and text.isdigit() and len(text) < 4:
        return int(text)
    try:
        return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            "expected networks such as 10.0.0.0/8,::1 or the number of proxies in front of the app, up to 999"
        ) from None


def dsn(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0) or (
            parts.scheme == "chdb" and not parts.netloc and len(parts.path) > 1
        )
    except ValueError:
        valid = False
    if not valid:
        # The value is not shown: it may hold a password.
        raise ValueError("expected http(s)://user:password@host:port/database or chdb:///path/database")
    return text


def database(text: str) -> str:
    # Only the form; which databases there are, SQLAlchemy knows.
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+]*://[^\r\n]*", text):
        # The value is not shown: it may hold a password.
        raise ValueError(
            "expected a URL of SQLAlchemy's such as postgresql+psycopg://user:password@host/database"
        )
    return text


def endpoint(text: str) -> str:
    if not _is_http(text):
        raise ValueError("expected an address such as http://localhost:4318")
    return text.rstrip("/")


def url(text: str) -> str:
    """Take an address as it is: a slash at its end may matter, and it may hold a key."""
    if not _is_http(text) or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("expected an address such as https://geo.example.org/json/{ip}")
    return text


def _is_http(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def origins(text: str) -> tuple[str, ...]:
    found = tuple(part.strip().lower().rstrip("/") for part in text.split(",") if part.strip())
    for origin in found:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("expected origins such as https://app.example.org,http://localhost:3000")
    return found


def dotted_path_or(*words: str) -> Callable[[str], str]:
    """Take one of these words, or a dotted path."""
    expected = f"expected {', '.join(words)}, or a dotted path such as shop.users.user_of"

    def parse(given: str) -> str:
        if given.lower() in words:
            return given.lower()
        if not DOTTED_PATH.fullmatch(given):
            raise ValueError(expected)
        return given

    return parse
