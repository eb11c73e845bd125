"""The dictionary that Flask-Track-Usage hands to a storage, made from a finished request event.

Everything comes from the event, so it respects the privacy settings: a masked address is masked here too,
and a redacted query is redacted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from otel_usage import attributes as names
from otel_usage.flask.storages.user_agent import user_agent_of
from otel_usage.model import Attributes, Event
from otel_usage.reports.access_log import request_target

_NANOSECONDS = 1_000_000_000
_NOTHING: Mapping[str, Any] = MappingProxyType({})

_IP_INFO = {
    names.COUNTRY: "country_code",
    names.REGION: "region_code",
    names.REGION_NAME: "region_name",
    names.CITY: "city",
}
"""The keys of `ip_info` by attribute."""


class RequestExtras(NamedTuple):
    """What the data has and the event has not, taken on the request's own thread.

    Containers are copies of the request's: nobody may change them afterwards.
    """

    app_name: str = ""
    """`server_name` of the data."""
    view_args: Mapping[str, Any] | None = None
    """As the route's converters made them; None where no route matched."""
    track_var: Mapping[str, Any] = _NOTHING
    """What the app put into `flask.g.track_var`."""
    url_args: Mapping[str, str] = _NOTHING
    """The first value of each query parameter, those of secret ones redacted."""
    host: str = ""
    """As the client named it, with the port; the event's host, without it, where this is empty."""
    protocol: str = "HTTP/1.1"
    """`SERVER_PROTOCOL` of the request."""
    date: int | None = None
    """Seconds since the epoch; the event's own time where this is None."""


def build_data(event: Event, extras: RequestExtras) -> dict[str, Any]:
    """Return the old dictionary, with exactly the old keys.

    `date` is in whole seconds since the epoch, `speed` in seconds, `content_length` in bytes or None for a stream.
    """
    attributes = event.attributes
    url = _url(attributes, extras.host)
    method = attributes.get(names.METHOD, "")
    return {
        "url": url,
        "user_agent": user_agent_of(attributes),
        "server_name": extras.app_name or event.service_name,
        "blueprint": attributes.get(names.BLUEPRINT),
        "view_args": None if extras.view_args is None else dict(extras.view_args),
        "status": attributes.get(names.STATUS_CODE, 0),
        "remote_addr": attributes.get(names.CLIENT_ADDRESS) or attributes.get(names.CLIENT_ADDRESS_HASH),
        "xforwardedfor": attributes.get(names.FORWARDED_FOR),
        "authorization": attributes.get(names.HAS_AUTHORIZATION) is True,
        "ip_info": _ip_info(attributes),
        "path": attributes.get(names.PATH, ""),
        "speed": event.duration_ns / _NANOSECONDS,
        "date": event.timestamp_ns // _NANOSECONDS if extras.date is None else extras.date,
        "content_length": attributes.get(names.RESPONSE_SIZE),
        "request": f"{method} {url} {extras.protocol}".rstrip(),
        "url_args": dict(extras.url_args),
        "username": attributes.get(names.USER_ID),
        "track_var": dict(extras.track_var),
    }


def _url(attributes: Attributes, host: str) -> str:
    target = request_target(str(attributes.get(names.PATH, "")), str(attributes.get(names.QUERY, "")))
    host = host or str(attributes.get(names.HOST, ""))
    return f"{attributes.get(names.SCHEME) or 'http'}://{host}{target}" if host else target


def _ip_info(attributes: Attributes) -> dict[str, Any] | None:
    found = {key: attributes[name] for name, key in _IP_INFO.items() if attributes.get(name)}
    return found or None


def _attribute(name: str) -> Callable[[Event], Any]:
    return lambda event: event.attributes.get(name) or None


_MORE_KEYS: dict[str, Callable[[Event], Any]] = {
    "event_id": lambda event: event.id,
    "endpoint": _attribute(names.ENDPOINT),
    "referrer": _attribute(names.REFERRER_URL),
    "route": _attribute(names.ROUTE),
    "timestamp_ns": lambda event: event.timestamp_ns,
    "visit_key": _attribute(names.VISIT_KEY),
    "visitor_id": _attribute(names.VISITOR_ID),
}
MORE_KEYS = frozenset(_MORE_KEYS)
"""Keys that Flask-Track-Usage never had; a storage that lists one of them in `more_keys` gets it too."""


def more_data(event: Event, keys: Collection[str]) -> dict[str, Any]:
    """Return what a storage asks for beyond the old keys.

    Args:
        event: the enriched request event.
        keys: some of `MORE_KEYS`.
    """
    return {key: _MORE_KEYS[key](event) for key in keys}
