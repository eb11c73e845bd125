"""Reads what a database, a service or a function of the app says of an address, in any of their usual shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from otel_usage import attributes as names
from otel_usage.model import Attributes

NOWHERE: Attributes = MappingProxyType({})
"""Of an address that nobody knows."""

_COUNTRY_KEYS = ("country_code", "countryCode", "country_iso_code", "country")
_REGION_CODE_KEYS = ("region_code", "regionCode", "region_iso_code", "region")
_REGION_NAME_KEYS = ("region_name", "regionName", "region", "state1", "subdivision")
_CITY_KEYS = ("city", "cityName", "city_name")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_REGION = re.compile(r"(?:([A-Za-z]{2})-)?([A-Za-z0-9]{1,3})")
_UNKNOWN_COUNTRIES = frozenset({"XX", "ZZ"})
"""User-assigned codes by which databases and proxies say that they do not know."""


def read_answer(answer: object) -> Attributes:
    """Return the attributes of an answer, `NOWHERE` when it names no country, region or city that is understood.

    Args:
        answer: a mapping with texts under `country_code`, `countryCode` or `country` (two letters), `region_code`,
            `region` or `regionName`, and `city`, as ip-api, freegeoip, extreme-ip-lookup, ipapi, ipinfo and most
            others answer; or with the mappings under `country`, `subdivisions` and `city` of a MaxMind database.
            Anything else is no answer. The dictionary that comes back is shared and must not be changed.
    """
    if not isinstance(answer, Mapping):
        return NOWHERE
    country = _country_of(answer)
    region, region_name = _region_of(answer, country)
    city = _first(_name(answer.get(key)) for key in _CITY_KEYS)
    return _attributes(country, region, region_name, city)


@lru_cache(maxsize=8192)
def _attributes(country: str, region: str, region_name: str, city: str) -> Attributes:
    # One dictionary for all addresses of a place: a cache of addresses holds thousands of them.
    values = {
        names.COUNTRY: country,
        names.REGION: region,
        names.REGION_NAME: "" if region else region_name,
        names.CITY: city,
    }
    return {name: value for name, value in values.items() if value}


def _country_of(answer: Mapping[Any, Any]) -> str:
    for key in _COUNTRY_KEYS:
        value = answer.get(key)
        if isinstance(value, Mapping):
            value = value.get("iso_code")
        if isinstance(value, str) and _COUNTRY.fullmatch(value.strip()):
            code = value.strip().upper()
            return "" if code in _UNKNOWN_COUNTRIES else code
    return ""


def _region_of(answer: Mapping[Any, Any], country: str) -> tuple[str, str]:
    """Return the ISO 3166-2 code of the region, and its name; each may be empty."""
    subdivisions = answer.get("subdivisions")
    if isinstance(subdivisions, list) and subdivisions and isinstance(subdivisions[0], Mapping):
        largest = subdivisions[0]
        return _region_code(largest.get("iso_code"), country), _name(largest)
    code = _first(_region_code(answer.get(key), country) for key in _REGION_CODE_KEYS)
    return code, _first(_name(answer.get(key)) for key in _REGION_NAME_KEYS)


def _region_code(value: object, country: str) -> str:
    # Two letters are a code under any key; a short name of mixed case, such as `Uri`, is a name.
    found = _REGION.fullmatch(value.strip()) if isinstance(value, str) and value == value.upper() else None
    if found is None or not country or (found[1] or country) != country:
        return ""
    return f"{country}-{found[2]}"


def _name(value: object) -> str:
    """Return a name as it is, or the English one of a MaxMind record."""
    if isinstance(value, Mapping):
        in_languages = value.get("names")
        value = in_languages.get("en") if isinstance(in_languages, Mapping) else value.get("name")
    if not isinstance(value, str) or value.strip() == "-":  # IP2Location's word for unknown
        return ""
    return value.strip()[: names.MAX_NAME]


def _first(values: Iterable[str]) -> str:
    return next(filter(None, values), "")
