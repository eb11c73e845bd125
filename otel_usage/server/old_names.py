"""Gives spans of foreign instrumentations today's names of HTTP, as the view over a Collector's spans does."""

from __future__ import annotations

import re

from otel_usage import attributes as names
from otel_usage.model import AttributeValue

_OLD_BY_NEW = {
    names.METHOD: ("http.method",),
    names.STATUS_CODE: ("http.status_code",),
    names.RESPONSE_SIZE: ("http.response_content_length",),
    names.SCHEME: ("http.scheme",),
    names.HOST: ("net.host.name", "http.host", "http.server_name"),
    names.USER_AGENT: ("http.user_agent",),
    names.CLIENT_ADDRESS: ("http.client_ip",),
    names.PEER_ADDRESS: ("net.sock.peer.addr", "net.peer.ip"),
    names.USER_ID: ("enduser.id",),
}
_TARGETS = ("http.target", "http.url")
_OLD = frozenset(old for olds in (*_OLD_BY_NEW.values(), _TARGETS) for old in olds)
_TARGET = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_PORT = re.compile(":[0-9]+$")


def add_new_names(attributes: dict[str, AttributeValue]) -> None:
    """Add what stands under an old name alone; a new name that is there keeps its value."""
    if _OLD.isdisjoint(attributes):
        return
    found = {new: _first(attributes, olds) for new, olds in _OLD_BY_NEW.items()}
    if isinstance(host := found[names.HOST], str):
        found[names.HOST] = _PORT.sub("", host)
    target = _TARGET.match(str(_first(attributes, _TARGETS)))
    if target:
        found[names.PATH], found[names.QUERY] = target[1], target[2] or ""
    for name, value in found.items():
        if value != "":
            attributes.setdefault(name, value)


def _first(attributes: dict[str, AttributeValue], olds: tuple[str, ...]) -> AttributeValue:
    return next((attributes[old] for old in olds if attributes.get(old, "") != ""), "")
