"""What is understood of the answers of databases, services and functions."""

from __future__ import annotations

import pytest

from otel_usage import attributes as names
from otel_usage.enrich.geo_answer import read_answer
from otel_usage.model import Attributes


def place(country: str = "", region: str = "", name: str = "", city: str = "") -> Attributes:
    values = {names.COUNTRY: country, names.REGION: region, names.REGION_NAME: name, names.CITY: city}
    return {key: value for key, value in values.items() if value}


MAXMIND = {
    "continent": {"code": "EU"},
    "country": {"geoname_id": 1, "iso_code": "CH", "names": {"de": "Schweiz", "en": "Switzerland"}},
    "subdivisions": [{"iso_code": "ZH", "names": {"en": "Zurich"}}, {"iso_code": "XY", "names": {}}],
    "city": {"names": {"de": "Zürich", "en": "Zurich"}},
}


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        pytest.param(MAXMIND, place("CH", "CH-ZH", city="Zurich"), id="MaxMind, city"),
        pytest.param({"country": {"iso_code": "CH"}}, place("CH"), id="MaxMind, country"),
        pytest.param(
            {
                "country": {"iso_code": "US"},
                "subdivisions": [{"names": {"en": "Ohio"}}],
                "city": {"names": {"en": "-"}},
            },
            place("US", name="Ohio"),
            id="DB-IP, which has no codes of regions",
        ),
        pytest.param({"country_code": "CH"}, place("CH"), id="ip-location-db"),
        pytest.param(
            {"country": "Switzerland", "country_code": "CH", "continent": "Europe", "asn": "AS1"},
            place("CH"),
            id="IPinfo Lite",
        ),
        pytest.param(
            {
                "ip": "203.0.113.7",
                "country_code": "US",
                "country_name": "United States",
                "region_code": "CA",
                "region_name": "California",
                "city": "Mountain View",
            },
            place("US", "US-CA", city="Mountain View"),
            id="freegeoip",
        ),
        pytest.param(
            {
                "businessName": "",
                "businessWebsite": "",
                "city": "Mountain View",
                "country": "United States",
                "countryCode": "US",
                "region": "California",
                "status": "success",
            },
            place("US", name="California", city="Mountain View"),
            id="extreme-ip-lookup",
        ),
        pytest.param(
            {
                "status": "success",
                "countryCode": "US",
                "region": "CA",
                "regionName": "California",
                "city": "X",
            },
            place("US", "US-CA", city="X"),
            id="ip-api",
        ),
        pytest.param(
            {"country": "us", "region": "California", "city": "X"},
            place("US", name="California", city="X"),
            id="ipinfo.io",
        ),
        pytest.param(
            {"country": "CA", "region": "CA-QC"}, place("CA", "CA-QC"), id="a whole code of a region"
        ),
        pytest.param(
            {"country": "CH", "region": "Uri"}, place("CH", name="Uri"), id="a region of three letters"
        ),
        pytest.param(
            {"country": "CH", "region": "US-CA"}, place("CH", name="US-CA"), id="a region elsewhere"
        ),
        pytest.param({"city": "Zurich"}, place(city="Zurich"), id="a city alone"),
        pytest.param({"country": "CH", "city": "x" * 1000}, place("CH", city="x" * 256), id="a long city"),
        pytest.param({"country": "Switzerland"}, {}, id="a name is no code"),
        pytest.param({"country_code": "ZZ"}, {}, id="a code for unknown"),
        pytest.param({"status": "fail", "message": "reserved range"}, {}, id="a failure"),
        pytest.param({"country": ["CH"], "city": 7, "subdivisions": "ZH"}, {}, id="other types"),
        pytest.param({"country": "CH\n"}, place("CH"), id="white space"),
        pytest.param(None, {}, id="nothing"),
        pytest.param("CH", {}, id="a text"),
    ],
)
def test_the_usual_shapes_of_an_answer_are_understood(answer: object, found: Attributes) -> None:
    assert dict(read_answer(answer)) == found


def test_one_place_is_one_dictionary_however_many_addresses_it_has() -> None:
    assert read_answer({"country": "CH", "city": "Bern"}) is read_answer(
        {"country_code": "ch", "city": "Bern"}
    )
