"""Makes many events of every kind, with the awkward values that apps, robots and foreign clients send; the same by seed."""

from __future__ import annotations

import random
from typing import Any

from otel_usage import attributes as names
from otel_usage.model import NO_SPAN, AttributeValue, Event
from tests.builders import key_of, nanoseconds

_NAMES = (
    *(names.REQUEST,) * 8,
    names.OBJECT_VIEWED,
    names.STAGE_REACHED,
    names.COUNTER,
    names.COUNTER,
    names.ACTIVITY,
    names.LOGIN,
    names.RESPONSE_SENT,
    "newsletter_ordered",
    "é漢😀" * 100,
    "",
)
_ADDRESSES = (
    "192.0.2.1",
    "203.0.113.254",
    "2001:db8::7",
    "2001:DB8:0:0:0:0:0:7",
    "::ffff:203.0.113.7",
    "::1.2.3.4",
    "1:2:3:4:5:6:1.2.3.4",
    "fe80::1%eth0",
    "fe80::1%eth0%x",
    "fe80::1%",
    "192.0.2.1%eth0",
    "::01.2.3.4",
    "::1.02.3.4",
    "::1.2.3.256",
    "01.2.3.4",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "1:2:3:4::5:6:7:8",
    "1:2:3::4:5:6:7",
    "1:2:3:4:5:6:7::",
    "::2:3:4:5:6:7:8",
    "::1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    ":::",
    "::",
    ":",
    "12345::",
    "::00001",
    "::g",
    "[::1]",
    " 192.0.2.1",
    "192.0.2.1 ",
    "192.0.2.1\n",
    "192.0.2.1:80",
    "::1/64",
    "١.٢.٣.٤",
    "unknown",
    "",
    "x" * 100,
    "2001:db8::7" + "0" * 100,
)
_KEYS = (
    *(key_of(str(number)) for number in range(30)),
    key_of("upper").upper(),
    "0" * 32,
    "abc-123",
    "z" * 32,
    "0f " * 10 + "0f",
    key_of("long") + "0",
    "漢" * 300,
    "a\0b",
    "",
)
_TEXTS = (
    "",
    "a",
    "/product/42",
    "Grüße & <b>",
    "漢字" * 20,
    "a\0b\r\n\t'\"\\",
    "[]",
    '["a","b"]',
    '{"values":[{"stringValue":"a"}]}',
    "{}",
    "null",
    "true",
    "1e3",
    "x" * 256,
    "x" * 257,
    "é" * 256 + "y",
    "😀" * 2100,
    "x" * 5000,
)
_NUMBERS: tuple[Any, ...] = (
    0,
    1,
    7,
    200,
    404,
    -1,
    255,
    256,
    65_535,
    65_536,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    2**64,
    10**30,
    0.5,
    -7.9,
    200.0,
    1e17,
    1e300,
    float("nan"),
    float("inf"),
    True,
    False,
    "7",
    "-7",
    "+7",
    "007",
    "7.5",
    "1e3",
    "７",
    "",
    "9" * 20,
    "9" * 21,
    ["7"],
)
_VALUES: tuple[Any, ...] = (
    *_TEXTS,
    *_NUMBERS,
    ["a", "b"],
    [1, 2],
    [1.0, 2.5],
    [True, False],
    [],
    ["x" * 300, "é" * 3000],
    ["a"] * 150,
    (1.0,),
    1e-7,
    1e16,
    123456789.123,
    -0.0,
    5e-324,
)
_TEXT_ATTRIBUTES = (
    names.USER_ID,
    names.CLIENT_ADDRESS_HASH,
    names.FORWARDED_FOR,
    names.COUNTRY,
    names.REGION,
    names.REGION_NAME,
    names.CITY,
    names.LANGUAGE,
    names.USER_AGENT,
    names.BROWSER,
    names.BROWSER_VERSION,
    names.OS,
    names.OS_VERSION,
    names.DEVICE_TYPE,
    names.BOT_NAME,
    names.METHOD,
    names.SCHEME,
    names.HOST,
    names.PATH,
    names.QUERY,
    names.ROUTE,
    names.ENDPOINT,
    names.BLUEPRINT,
    names.REFERRER_URL,
    names.REFERRER_DOMAIN,
    names.CAMPAIGN_SOURCE,
    names.CAMPAIGN_MEDIUM,
    names.CAMPAIGN_NAME,
    names.CAMPAIGN_TERM,
    names.CAMPAIGN_CONTENT,
    names.OBJECT_TYPE,
    names.OBJECT_ID,
    names.FUNNEL,
    names.STAGE,
    "http.method",
    "http.target",
    "net.peer.ip",
)
_REASONS: tuple[Any, ...] = ("no_object", "unknown_counter", "other", "of my own", "", 7, ["no_object"])


def varied_events(count: int, seed: int) -> list[Event]:
    """Return events of three months and two services, a tenth of whose values are odd."""
    chance = random.Random(seed)
    begin = nanoseconds("2026-01-31T22:00:00")
    return [
        Event(
            chance.choice(_NAMES),
            begin + chance.randrange(40 * 86_400 * 10**9),
            chance.choice((0, 1, chance.randrange(10**10), 2**62)),
            (number + 1).to_bytes(16, "big"),
            chance.randbytes(8),
            chance.choice((NO_SPAN, chance.randbytes(8))),
            chance.choice(("shop", "bláh" * 60)),
            {},
        )._replace(attributes=_attributes(chance))
        for number in range(count)
    ]


def _attributes(chance: random.Random) -> dict[str, AttributeValue]:
    found: dict[str, Any] = {
        key: chance.choice(_VALUES if chance.random() < 0.1 else ("a", "b", "/c", "Grüße"))
        for key in _TEXT_ATTRIBUTES
        if chance.random() < 0.7
    }
    found[names.VISIT_KEY] = chance.choice(_KEYS)
    found[names.VISITOR_ID] = chance.choice(_KEYS)
    found[names.CLIENT_ADDRESS] = chance.choice(_ADDRESSES)
    found[names.PEER_ADDRESS] = chance.choice(_ADDRESSES)
    found[names.COUNTER_NAME] = chance.choice(("likes", "likes", "reads", "", 7))
    found[names.COUNTER_VALUE] = chance.choice((1, 2, chance.choice(_NUMBERS)))
    for key in (names.STATUS_CODE, names.RESPONSE_SIZE, names.STAGE_INDEX):
        found[key] = chance.choice((200, 3, chance.choice(_NUMBERS)))
    for key in (names.VISIT_IS_NEW, names.HAS_AUTHORIZATION):
        found[key] = chance.choice((True, False, True, False, "true", 1, None))
    found[names.SYNTHETIC_TYPE] = chance.choice(("", "", "bot", "test", ["bot"]))
    for prefix in (names.PROPERTY_PREFIX, names.VIEW_ARGUMENT_PREFIX):
        for number in range(chance.choice((0, 0, 1, 3, 40))):
            found[f"{prefix}{chance.choice(_TEXTS)[:20]}{number}"] = chance.choice(_VALUES)
    if chance.random() < 0.02:
        found[names.VISIT_KEY] = chance.choice((["a"], 7, 1.5, True))
        found[names.CLIENT_ADDRESS] = chance.choice((["192.0.2.1"], 7))
    if chance.random() < 0.02:
        found[names.REJECTED_REASON] = chance.choice(_REASONS)
    missing = [key for key in found if chance.random() < 0.05]
    for key in missing:
        del found[key]
    return {key: value for key, value in found.items() if value is not None}
