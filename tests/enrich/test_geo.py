"""The three sources together: who is asked for what, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.enrich.geo import GeoLookup, GeoReader, build_geo_reader
from otel_usage.enrich.geo_answer import read_answer
from otel_usage.enrich.geo_background import GeoBackground
from otel_usage.enrich.geo_database import GeoDatabase
from otel_usage.model import Attributes
from otel_usage.settings import Settings
from tests.enrich.geo_sources import LONG, Source
from tests.mmdb import write_database

BY_LOOKUP, BY_DATABASE, BY_ENDPOINT, INSIDE = "192.0.2.1", "192.0.2.2", "192.0.2.3", "10.0.0.1"


def in_country(code: str, *addresses: str) -> Source:
    """Return a source that knows these addresses alone."""
    return Source(lambda address: read_answer({"country": code} if address in addresses else None))


def countries(geo: GeoReader, addresses: dict[str, bool]) -> list[object]:
    geo.look_ahead(addresses)
    return [geo.find(address).get(names.COUNTRY) for address in addresses]


def test_each_source_is_asked_for_what_those_before_it_do_not_know(tmp_path: Path) -> None:
    records = {f"{BY_LOOKUP}/32": {"country": "XA"}, f"{BY_DATABASE}/32": {"country": "DE"}}
    path = write_database(tmp_path / "geo.mmdb", records)
    lookup, endpoint = in_country("CH", BY_LOOKUP), in_country("FR", BY_ENDPOINT)
    geo = GeoReader(
        lookup=GeoBackground(lookup, wait_seconds=LONG),
        database=GeoDatabase(str(path)),
        endpoint=GeoBackground(endpoint, wait_seconds=LONG),
    )

    found = countries(geo, dict.fromkeys([BY_LOOKUP, BY_DATABASE, BY_ENDPOINT, INSIDE], True))

    assert found == ["CH", "DE", "FR", None]
    assert lookup.asked == [BY_LOOKUP, BY_DATABASE, BY_ENDPOINT, INSIDE]
    assert endpoint.asked == [BY_ENDPOINT]


def test_a_service_is_told_of_nobody_who_opted_out() -> None:
    endpoint = in_country("FR", "203.0.113.1", "203.0.113.2")
    geo = GeoReader(endpoint=GeoBackground(endpoint, wait_seconds=LONG))

    assert countries(geo, {"203.0.113.1": False, "203.0.113.2": True}) == [None, "FR"]

    assert endpoint.asked == ["203.0.113.2"]


def test_a_service_is_told_of_networks_where_the_whole_address_is_not_kept() -> None:
    endpoint = in_country("FR", "203.0.113.0")
    geo = GeoReader(endpoint=GeoBackground(endpoint, wait_seconds=LONG), sends_whole_addresses=False)

    assert countries(geo, {"203.0.113.1": True, "203.0.113.2": True}) == ["FR", "FR"]

    assert endpoint.asked == ["203.0.113.0"]


@pytest.mark.parametrize("policy", ["full", "masked", "hashed", "off"])
def test_the_policy_of_addresses_says_what_a_service_is_told(policy: str) -> None:
    geo = build_geo_reader(Settings.load({}, ip=policy, geo_endpoint="https://geo.example.org/{ip}"))

    assert list(geo._to_send({"203.0.113.7": True})) == ["203.0.113.7" if policy == "full" else "203.0.113.0"]


def test_without_a_source_there_is_nothing_to_do() -> None:
    geo = build_geo_reader(Settings.load({}))

    geo.prepare()

    assert (geo.has_sources, geo.looks_ahead, geo.find("203.0.113.7")) == (False, False, {})


def test_an_app_may_name_a_service_where_the_settings_name_none() -> None:
    geo = build_geo_reader(Settings.load({}))
    geo.use_endpoint("https://geo.example.org/")
    first = geo._endpoint

    geo.use_endpoint("https://other.example.org/")

    assert geo.has_sources
    assert geo._endpoint is first


def place_of(address: str) -> dict[str, Any]:
    return {"country": "CH", "region": "ZH", "city": "Zurich"}


def broken(address: str) -> dict[str, Any]:
    raise RuntimeError(address)


async def slow(address: str) -> None:
    pass


NOT_A_MAPPING = "Switzerland"


def ask(named: object) -> Attributes:
    """Return what a reader with this function finds, as a batch would."""
    geo = GeoReader(lookup=GeoBackground(GeoLookup(named), wait_seconds=LONG))
    geo.prepare()
    geo.look_ahead({"203.0.113.7": True})
    return geo.find("203.0.113.7")


@pytest.mark.parametrize(
    "named", [place_of, f"{__name__}.place_of", f"{__name__}:place_of"], ids=["itself", "dotted", "colon"]
)
def test_a_function_of_the_app_is_asked(named: object) -> None:
    found = {names.COUNTRY: "CH", names.REGION: "CH-ZH", names.CITY: "Zurich"}

    assert ask(named) == found


@pytest.mark.parametrize(
    ("named", "message"),
    [
        pytest.param(
            "no.such.module",
            "OTEL_USAGE_GEO_LOOKUP: 'no.such.module' cannot be loaded: No module named 'no'. Events go on without it.",
            id="no module",
        ),
        pytest.param(
            f"{__name__}.NOT_A_MAPPING",
            "OTEL_USAGE_GEO_LOOKUP: it is a str, expected a plain function that takes an address. "
            "Events go on without it.",
            id="no function",
        ),
        pytest.param(
            slow,
            "OTEL_USAGE_GEO_LOOKUP: it is a coroutine function, expected a plain function that takes an address. "
            "Events go on without it.",
            id="a coroutine function",
        ),
        pytest.param(broken, "OTEL_USAGE_GEO_LOOKUP failed: RuntimeError at", id="it raises"),
        pytest.param(
            lambda address: NOT_A_MAPPING,
            "OTEL_USAGE_GEO_LOOKUP returned a str in which no place is understood. Expected a mapping with country "
            "(two letters), region and city, or None",
            id="no mapping",
        ),
        pytest.param(
            lambda address: {"country": NOT_A_MAPPING},
            "OTEL_USAGE_GEO_LOOKUP returned a dict in which no place is understood.",
            id="the name of a country",
        ),
    ],
)
def test_a_function_that_is_of_no_use_costs_one_line(
    named: object, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(named) == {}

    (record,) = caplog.records
    assert record.getMessage().startswith(message)
    assert "203.0.113.7" not in record.getMessage()
