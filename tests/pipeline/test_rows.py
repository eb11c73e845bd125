from __future__ import annotations

import hashlib
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.model import NO_SPAN, AttributeValue, Event
from otel_usage.pipeline.events import to_event, to_span
from otel_usage.pipeline.rows import COLUMNS, NO_KEY, to_columns, to_text
from tests.builders import insert_events


def build(name: str = "liked", **attributes: AttributeValue) -> Event:
    return Event(name, 1, 2, bytes(16), bytes(8), NO_SPAN, "shop", attributes)


def row(event: Event) -> dict[str, Any]:
    """Return the event's values by column."""
    return {column.name: values[0] for column, values in zip(COLUMNS, to_columns([event]), strict=True)}


def column(name: str, *events: Event) -> list[Any]:
    by_name = dict(zip([column.name for column in COLUMNS], to_columns(events), strict=True))
    return by_name[name]


def test_no_two_columns_have_one_name() -> None:
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)


def test_an_event_without_attributes_is_a_row_of_defaults() -> None:
    values = row(build())

    filled = {name: value for name, value in values.items() if value not in ("", 0, NO_KEY, {}, None)}
    assert filled == {
        "timestamp": 1,
        "event_name": "liked",
        "service_name": "shop",
        "span_id_bytes": bytes(8),
        "parent_span_id_bytes": bytes(8),
        "duration_ns": 2,
    }
    assert values["bytes_sent"] is None


ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    7,
    2**31,
    2**64,
    -(2**70),
    10**5000,
    0.5,
    -1e300,
    float("nan"),
    float("inf"),
    "",
    "7",
    "-7",
    "--7",
    "-",
    "７",
    "1e3",
    " 7",
    "x" * 100_000,
    "é漢😀",
    "a\udcffb",
    "a\0b",
    b"bytes\xff",
    ["a", "b"],
    ["a", 1, None, b"x"],
    (1, 2),
    [],
    ["x" * 10_000] * 1_000,
    {"a": 1},
    {"a": {"b": "x" * 100_000}},
    "203.0.113.7",
    "::ffff:203.0.113.7",
    "0" * 32,
    "z" * 32,
    "0 " * 16,
]

ATTRIBUTES = sorted(
    {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    - names.RESERVED_EVENT_NAMES
    - {names.PROPERTY_PREFIX, names.VIEW_ARGUMENT_PREFIX}
) + [names.PROPERTY_PREFIX + "p", names.VIEW_ARGUMENT_PREFIX + "v"]


def fits(kind: str, value: Any) -> bool:
    """Return whether a value is one that ClickHouse takes for a column of this type."""
    if kind.startswith("Nullable("):
        return value is None or fits(kind[9:-1], value)
    if kind.startswith("UInt"):
        return type(value) is int and 0 <= value < 2 ** int(kind[4:])
    if kind.startswith("Int"):
        return type(value) is int and -(2 ** (int(kind[3:]) - 1)) <= value < 2 ** (int(kind[3:]) - 1)
    if kind.startswith("FixedString"):
        return type(value) is bytes and len(value) == int(kind[12:-1])
    if kind.startswith("Map"):
        return all(fits("String", text) for pair in value.items() for text in pair) and len(value) <= 33
    if kind == "String":
        return type(value) is str and len(value) <= names.MAX_TEXT and bool(value.encode() or True)
    assert kind == "DateTime64(9, 'UTC')"
    return type(value) is int


@pytest.mark.parametrize(
    "odd", [pytest.param(odd, id=f"{number} {type(odd).__name__}") for number, odd in enumerate(ODD_VALUES)]
)
@pytest.mark.parametrize("name", [names.REQUEST, "liked"])
def test_every_column_takes_any_value_of_its_attribute(name: str, odd: Any) -> None:
    event = build(name, **dict.fromkeys(ATTRIBUTES, odd))
    usual = build(name)

    for batch in ([event], [usual, event, usual]):
        for column, values in zip(COLUMNS, to_columns(batch), strict=True):
            assert len(values) == len(batch)
            assert [value for value in values if not fits(column.type, value)] == [], column.name


@pytest.mark.parametrize("name", [names.REQUEST, "liked"])
def test_any_value_gives_the_same_row_after_its_way_through_otlp(name: str) -> None:
    for odd in ODD_VALUES[1:]:  # there is no None on a span
        event = build(name, **dict.fromkeys(ATTRIBUTES, odd) | {names.EVENT_NAME: name})

        sent = to_span(event)

        assert len(encode_spans([sent]).SerializeToString()) < 100_000
        assert row(to_event(sent)) == row(event)


def test_clickhouse_takes_every_odd_value(usage: ClickHouse) -> None:
    events = [
        build(name, **dict.fromkeys(ATTRIBUTES, odd))._replace(
            timestamp_ns=1_800_000_000_000_000_000, span_id=number.to_bytes(8, "big")
        )
        for number, odd in enumerate(ODD_VALUES)
        for name in (names.REQUEST, "liked")
    ]

    insert_events(usage, events)

    assert usage.query("SELECT count() FROM events").rows == [(len(events),)]


@pytest.mark.parametrize("odd", [-(2**70), -1, 0, 2**63, 2**64 - 1, 2**70])
def test_clickhouse_takes_any_time(usage: ClickHouse, odd: int) -> None:
    insert_events(usage, [build()._replace(timestamp_ns=odd, duration_ns=odd)])

    assert usage.query("SELECT count() FROM events").rows == [(1,)]


@pytest.mark.parametrize(
    ("value", "status"),
    [(200, 200), ("404", 404), (500.0, 500), (-1, 0), (10**6, 65535), ("abc", 0), ([200], 0), (None, 0)],
)
def test_a_status_is_read_from_what_stands_for_a_number(value: Any, status: int) -> None:
    assert row(build(**{names.STATUS_CODE: value}))["status_code"] == status


@pytest.mark.parametrize(
    ("value", "counted"),
    [
        (3, 3),
        (-3, -3),
        (2**63, 2**63 - 1),
        (-(2**64), -(2**63)),
        ("-12", -12),
        ("--12", 0),
        (True, 1),
        (float("nan"), 0),
    ],
)
def test_a_count_is_kept_within_its_column(value: Any, counted: int) -> None:
    assert row(build(names.COUNTER, **{names.COUNTER_VALUE: value}))["counter_value"] == counted


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("203.0.113.7", bytes(10) + b"\xff\xff\xcb\x00\x71\x07"),
        ("2001:db8::1", bytes.fromhex("20010db8000000000000000000000001")),
        ("::ffff:203.0.113.7", bytes(10) + b"\xff\xff\xcb\x00\x71\x07"),
        ("", NO_KEY),
        ("unknown", NO_KEY),
        ("9" * 10_000, NO_KEY),
        (7, NO_KEY),
    ],
)
def test_an_address_is_sixteen_bytes(address: Any, stored: bytes) -> None:
    values = row(build(**{names.CLIENT_ADDRESS: address, names.PEER_ADDRESS: address}))

    assert values["client_address"] == values["peer_address"] == stored


def test_an_own_visit_key_is_stored_as_its_bytes() -> None:
    values = row(build(**{names.VISIT_KEY: "0f" * 16, names.VISITOR_ID: "f0" * 16}))

    assert (values["visit_key_bytes"], values["visitor_id_bytes"]) == (b"\x0f" * 16, b"\xf0" * 16)
    assert values["properties"] == {}


def test_a_foreign_visit_key_is_hashed_and_stays_readable() -> None:
    values = row(build(**{names.VISIT_KEY: "abc-123"}))

    assert values["visit_key_bytes"] == hashlib.sha256(b"abc-123").digest()[:16]
    assert values["properties"] == {"session.id": "abc-123"}


def test_a_request_leaves_what_its_events_say_to_their_rows() -> None:
    attributes: dict[str, AttributeValue] = {
        names.OBJECT_TYPE: "item",
        names.OBJECT_ID: "7",
        names.FUNNEL: "buy",
        names.STAGE: "cart",
        names.STAGE_INDEX: 2,
        names.COUNTER_NAME: "views",
        names.COUNTER_VALUE: 5,
        names.VISIT_IS_NEW: True,
    }
    columns = ("object_type", "object_id", "funnel", "stage", "stage_index", "counter_name", "counter_value")

    request, event = row(build(names.REQUEST, **attributes)), row(build("liked", **attributes))

    assert [request[name] for name in columns] == ["", "", "", "", 0, "", 0]
    assert [event[name] for name in columns] == ["item", "7", "buy", "cart", 2, "views", 5]
    assert (request["visit_is_new"], event["visit_is_new"]) == (1, 0)


def test_an_activity_whose_request_has_no_event_counts_the_visit_that_it_opens() -> None:
    assert row(build(names.ACTIVITY, **{names.VISIT_IS_NEW: True}))["visit_is_new"] == 1


def test_a_region_without_a_code_is_stored_by_its_name() -> None:
    regions: list[dict[str, Any]] = [
        {names.REGION: "CH-ZH", names.REGION_NAME: "Zurich"},
        {names.REGION: "", names.REGION_NAME: "Ohio"},
        {names.REGION_NAME: "Ohio"},
        {names.REGION: "CH-BE"},
        {},
    ]
    events = [build(**given) for given in regions]
    expected = ["CH-ZH", "Ohio", "Ohio", "CH-BE", ""]

    assert column("region", *events) == expected
    assert [row(event)["region"] for event in events] == expected


def test_properties_are_bounded_in_number_and_length() -> None:
    event = build(**{f"{names.PROPERTY_PREFIX}{number}": "x" * 10_000 for number in range(1_000)})

    properties = row(event)["properties"]

    assert len(properties) == names.MAX_PROPERTIES
    assert {len(text) for text in properties.values()} == {names.MAX_TEXT}


def test_properties_of_one_event_do_not_reach_another() -> None:
    first = build(**{names.PROPERTY_PREFIX + "color": "red"})
    second = build(**{names.PROPERTY_PREFIX + "size": "XL"})

    assert column("properties", first, build(), second) == [{"color": "red"}, {}, {"size": "XL"}]


def test_a_batch_reads_each_event_for_itself() -> None:
    events = [build(**{names.PATH: f"/{number}" if number % 3 else "é"}) for number in range(100)]

    assert column("path", *events) == [f"/{number}" if number % 3 else "é" for number in range(100)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (0.5, "0.5"),
        (["a", True, None], "a,true,"),
        ("a\udcff", "a?"),
        ("x" * 11, "x" * 10),
        pytest.param(10**5000, "", id="a number without text"),
    ],
)
def test_any_value_has_a_text(value: object, text: str) -> None:
    assert to_text(value, 10) == text
