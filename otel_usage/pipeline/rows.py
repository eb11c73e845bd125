"""The columns of `events`: one list that says what is inserted and where each value comes from.

Values are read column by column over a whole batch, because a function call for each of fifty cells
of each event would cost more than the insert itself. Every reader takes any attribute value, also a
wrong type from a foreign OTLP client, and returns one that ClickHouse takes: a batch never fails for
one bad event. The view `otel_traces_events_mv` reads the same of the texts that a Collector stores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple, TypeAlias

from otel_usage import attributes as names
from otel_usage.model import Attributes, Event


class Rows(NamedTuple):
    """A batch as the readers of columns take it."""

    events: Sequence[Event]
    attributes: Sequence[Attributes]
    """Those of each event."""
    keys: frozenset[str]
    """Every attribute that at least one event has. Most events have few, so half of the columns are empty."""


Reader: TypeAlias = Callable[[Rows], list[Any]]

NO_KEY = bytes(16)
"""Visit key, visitor id or address of an event that has none."""

_OPENS_VISITS = (names.REQUEST, names.ACTIVITY)
_MAX_ADDRESS = 64
_SHORT = 64
"""Characters; a text up to this length is told clean where it is read."""
_IPV4_PREFIX = bytes(10) + b"\xff\xff"
_MAX_UINT8, _MAX_UINT16 = 2**8 - 1, 2**16 - 1
_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1


class Column(NamedTuple):
    """One column of the insert.

    `type` is the type on the wire, which ClickHouse casts to the table's: addresses go as 16 raw bytes,
    because building address objects was 88 % of all encoding time.
    """

    name: str
    type: str
    read: Reader


def to_text(value: object, limit: int) -> str:
    """Return any attribute value as text of at most `limit` characters that UTF-8 can encode."""
    if value.__class__ is str and len(value) <= limit and value.isascii():  # nearly every value
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        value = ",".join(to_text(part, limit) for part in value[:100])
    try:
        text = str(value)[:limit]
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return ""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=65_536)
def address_bytes(address: str) -> bytes:
    """Return an address as the 16 bytes of an IPv6 column; IPv4 is mapped, anything else is `::`."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return NO_KEY
    return parsed.packed if parsed.version == 6 else _IPV4_PREFIX + parsed.packed


@lru_cache(maxsize=65_536)
def is_own_key(key: str) -> bool:
    """Return whether a visit key or visitor id is one of ours: 32 hex digits."""
    if len(key) != 32:
        return False
    try:
        return len(bytes.fromhex(key)) == 16
    except ValueError:
        return False


@lru_cache(maxsize=65_536)
def key_bytes(key: str) -> bytes:
    """Return a visit key or visitor id as 16 bytes; a key that is not ours is hashed."""
    if not key:
        return NO_KEY
    if is_own_key(key):
        return bytes.fromhex(key)
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()[:16]


def _text(key: str, limit: int = names.MAX_NAME) -> Reader:
    def read(rows: Rows) -> list[str]:
        if key not in rows.keys:
            return [""] * len(rows.events)
        values: list[Any] = [attributes.get(key, "") for attributes in rows.attributes]
        return values if _are_clean(values, limit) else [to_text(value, limit) for value in values]

    return read


def _first_text(key: str, otherwise: str) -> Reader:
    """Read a text that another attribute has where the first one is absent or empty."""
    read_first, read_other = _text(key), _text(otherwise)

    def read(rows: Rows) -> list[str]:
        if otherwise not in rows.keys:
            return read_first(rows)
        return [first or other for first, other in zip(read_first(rows), read_other(rows), strict=True)]

    return read


def _are_clean(values: list[Any], limit: int) -> bool:
    """Return whether `to_text` would change none of the values; asks the whole column at once."""
    try:
        joined = "".join(values)
    except TypeError:  # not all are texts
        return False
    return joined.isascii() and max(map(len, values)) <= limit


def _event_text(key: str) -> Reader:
    """Read a text that a request row leaves empty: its span also carries its last object, stage and counter."""

    def read(rows: Rows) -> list[str]:
        if key not in rows.keys:
            return [""] * len(rows.events)
        return [
            to_text(event.attributes.get(key, ""), names.MAX_NAME) if event.name != names.REQUEST else ""
            for event in rows.events
        ]

    return read


def to_integer(value: object, low: int = _MIN_INT64, high: int = _MAX_INT64) -> int:
    """Return any attribute value as a whole number within bounds; 0 for what is none."""
    if isinstance(value, (bool, float)):
        value = int(value) if value == value and abs(value) < 1e18 else 0
    elif isinstance(value, str):
        value = int(value) if value.isascii() and value.removeprefix("-").isdigit() and len(value) < 21 else 0
    return min(max(value, low), high) if isinstance(value, int) else 0


def _integer(key: str, high: int) -> Reader:
    def read(rows: Rows) -> list[int]:
        return [
            value
            if (value := attributes.get(key, 0)).__class__ is int and 0 <= value <= high
            else to_integer(value, 0, high)
            for attributes in rows.attributes
        ]

    return read


def _event_integer(key: str, low: int, high: int) -> Reader:
    def read(rows: Rows) -> list[int]:
        if key not in rows.keys:
            return [0] * len(rows.events)
        return [
            to_integer(event.attributes.get(key, 0), low, high) if event.name != names.REQUEST else 0
            for event in rows.events
        ]

    return read


def _size(rows: Rows) -> list[int | None]:
    return [
        None
        if (value := attributes.get(names.RESPONSE_SIZE)) is None
        else value
        if value.__class__ is int and 0 <= value <= _MAX_INT64
        else to_integer(value, 0)
        for attributes in rows.attributes
    ]


def _flag(key: str) -> Reader:
    def read(rows: Rows) -> list[int]:
        if key not in rows.keys:
            return [0] * len(rows.events)
        return [1 if attributes.get(key) is True else 0 for attributes in rows.attributes]

    return read


def _nanoseconds(values: list[int]) -> list[int]:
    # A clock that is centuries off must not cost the batch.
    if not values or (min(values) >= 0 and max(values) <= _MAX_INT64):
        return values
    return [min(max(value, 0), _MAX_INT64) for value in values]


def _is_new(rows: Rows) -> list[int]:
    # Only the request that opens a visit is new, so that the sum of the column counts visits; or the activity that
    # does, whose request has no event.
    return [
        1 if event.attributes.get(names.VISIT_IS_NEW) is True and event.name in _OPENS_VISITS else 0
        for event in rows.events
    ]


_read_synthetic_type = _text(names.SYNTHETIC_TYPE)


def _is_bot(rows: Rows) -> list[int]:
    return [1 if kind == "bot" else 0 for kind in _read_synthetic_type(rows)]


def _address(key: str) -> Reader:
    def read(rows: Rows) -> list[bytes]:
        return [
            # Cut, because the cache keeps what it is asked for, and a foreign client may send megabytes.
            address_bytes(
                value
                if (value := attributes.get(key, "")).__class__ is str and len(value) <= _MAX_ADDRESS
                else to_text(value, _MAX_ADDRESS)
            )
            for attributes in rows.attributes
        ]

    return read


def _key(key: str) -> Reader:
    def read(rows: Rows) -> list[bytes]:
        return [
            key_bytes(
                value
                if (value := attributes.get(key, "")).__class__ is str and len(value) <= names.MAX_NAME
                else to_text(value, names.MAX_NAME)
            )
            for attributes in rows.attributes
        ]

    return read


def _map(prefix: str) -> Reader:
    """Read the attributes whose names begin with a prefix, the first `MAX_PROPERTIES` of each event."""

    def read(rows: Rows) -> list[dict[str, str]]:
        # Told apart once per batch: looking at the name of every attribute was half of all encoding time.
        short_names = {
            key: to_text(key[len(prefix) :], names.MAX_NAME) for key in rows.keys if key.startswith(prefix)
        }
        if not short_names:
            return [{} for _ in rows.events]
        if len(short_names) <= names.MAX_PROPERTIES:  # then no event has too many
            return [
                {
                    short: value
                    if (value := attributes[key]).__class__ is str
                    and len(value) <= _SHORT
                    and value.isascii()
                    else to_text(value, names.MAX_TEXT)
                    for key, short in short_names.items()
                    if key in attributes
                }
                for attributes in rows.attributes
            ]
        return [
            {
                short_names[key]: to_text(attributes[key], names.MAX_TEXT)
                for key in [key for key in attributes if key in short_names][: names.MAX_PROPERTIES]
            }
            for attributes in rows.attributes
        ]

    return read


_read_own_properties = _map(names.PROPERTY_PREFIX)


def _properties(rows: Rows) -> list[dict[str, str]]:
    properties: list[dict[str, str]] = _read_own_properties(rows)
    if _has_own_keys_alone(rows):
        return properties
    for found, attributes in zip(properties, rows.attributes, strict=True):
        key = to_text(attributes.get(names.VISIT_KEY), names.MAX_NAME)
        # The column holds a hash of a visit manager's own key; the key itself must stay readable.
        if key and not is_own_key(key):
            found[names.VISIT_KEY] = key
    return properties


def _has_own_keys_alone(rows: Rows) -> bool:
    """Return whether all visit keys of the batch are ours; asks once per visit."""
    try:
        keys: set[Any] = {attributes.get(names.VISIT_KEY, "") for attributes in rows.attributes}
    except TypeError:  # a list, of a foreign client
        return False
    # Not longer ones: the cache keeps what it is asked for.
    return all(key == "" or (key.__class__ is str and len(key) == 32 and is_own_key(key)) for key in keys)


COLUMNS: tuple[Column, ...] = (
    Column(
        "timestamp",
        "DateTime64(9, 'UTC')",
        lambda rows: _nanoseconds([event.timestamp_ns for event in rows.events]),
    ),
    Column(
        "event_name", "String", lambda rows: [to_text(event.name, names.MAX_NAME) for event in rows.events]
    ),
    Column("service_name", "String", lambda rows: [event.service_name for event in rows.events]),
    Column("trace_id_bytes", "FixedString(16)", lambda rows: [event.trace_id for event in rows.events]),
    Column("span_id_bytes", "FixedString(8)", lambda rows: [event.span_id for event in rows.events]),
    Column(
        "parent_span_id_bytes", "FixedString(8)", lambda rows: [event.parent_span_id for event in rows.events]
    ),
    Column("visit_key_bytes", "FixedString(16)", _key(names.VISIT_KEY)),
    Column("visit_is_new", "UInt8", _is_new),
    Column("visitor_id_bytes", "FixedString(16)", _key(names.VISITOR_ID)),
    Column("user_id", "String", _text(names.USER_ID)),
    Column("client_address", "FixedString(16)", _address(names.CLIENT_ADDRESS)),
    Column("client_address_hash", "String", _text(names.CLIENT_ADDRESS_HASH)),
    Column("peer_address", "FixedString(16)", _address(names.PEER_ADDRESS)),
    Column("forwarded_for", "String", _text(names.FORWARDED_FOR, names.MAX_TEXT)),
    Column("has_authorization", "UInt8", _flag(names.HAS_AUTHORIZATION)),
    Column("country", "String", _text(names.COUNTRY)),
    Column("region", "String", _first_text(names.REGION, names.REGION_NAME)),
    Column("city", "String", _text(names.CITY)),
    Column("language", "String", _text(names.LANGUAGE)),
    Column("user_agent", "String", _text(names.USER_AGENT, names.MAX_TEXT)),
    Column("browser", "String", _text(names.BROWSER)),
    Column("browser_version", "String", _text(names.BROWSER_VERSION)),
    Column("os", "String", _text(names.OS)),
    Column("os_version", "String", _text(names.OS_VERSION)),
    Column("device_type", "String", _text(names.DEVICE_TYPE)),
    Column("is_bot", "UInt8", _is_bot),
    Column("bot_name", "String", _text(names.BOT_NAME)),
    Column("method", "String", _text(names.METHOD)),
    Column("scheme", "String", _text(names.SCHEME)),
    Column("host", "String", _text(names.HOST)),
    Column("path", "String", _text(names.PATH, names.MAX_TEXT)),
    Column("query", "String", _text(names.QUERY, names.MAX_TEXT)),
    Column("route", "String", _text(names.ROUTE)),
    Column("endpoint", "String", _text(names.ENDPOINT)),
    Column("blueprint", "String", _text(names.BLUEPRINT)),
    Column("view_args", "Map(String, String)", _map(names.VIEW_ARGUMENT_PREFIX)),
    Column("status_code", "UInt16", _integer(names.STATUS_CODE, _MAX_UINT16)),
    Column("duration_ns", "UInt64", lambda rows: _nanoseconds([event.duration_ns for event in rows.events])),
    Column("bytes_sent", "Nullable(UInt64)", _size),
    Column("referrer", "String", _text(names.REFERRER_URL, names.MAX_TEXT)),
    Column("referrer_domain", "String", _text(names.REFERRER_DOMAIN)),
    Column("campaign_source", "String", _text(names.CAMPAIGN_SOURCE)),
    Column("campaign_medium", "String", _text(names.CAMPAIGN_MEDIUM)),
    Column("campaign_name", "String", _text(names.CAMPAIGN_NAME)),
    Column("campaign_term", "String", _text(names.CAMPAIGN_TERM)),
    Column("campaign_content", "String", _text(names.CAMPAIGN_CONTENT)),
    Column("object_type", "String", _event_text(names.OBJECT_TYPE)),
    Column("object_id", "String", _event_text(names.OBJECT_ID)),
    Column("funnel", "String", _event_text(names.FUNNEL)),
    Column("stage", "String", _event_text(names.STAGE)),
    Column("stage_index", "UInt8", _event_integer(names.STAGE_INDEX, 0, _MAX_UINT8)),
    Column("counter_name", "String", _event_text(names.COUNTER_NAME)),
    Column("counter_value", "Int64", _event_integer(names.COUNTER_VALUE, _MIN_INT64, _MAX_INT64)),
    Column("properties", "Map(String, String)", _properties),
)
"""Every column that is inserted, in the order of the insert. The schema's test compares it with the table."""


def to_columns(events: Sequence[Event]) -> list[list[Any]]:
    """Return the batch column by column, in the order of `COLUMNS`."""
    attributes = [event.attributes for event in events]
    rows = Rows(events, attributes, frozenset().union(*attributes))
    return [column.read(rows) for column in COLUMNS]
