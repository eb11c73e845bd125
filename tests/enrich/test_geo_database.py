"""A MaxMind DB file that is there, is not, is damaged, or changes while it is used."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from otel_usage import attributes as names
from otel_usage.enrich.geo_database import CHECK_SECONDS, GeoDatabase, describe_database
from otel_usage.errors import SettingError
from tests.enrich.geo_sources import Clock
from tests.mmdb import write_database

ADDRESS = "203.0.113.7"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_country(tmp_path / "geo.mmdb", "CH")


def write_country(path: Path, country: str) -> Path:
    return write_database(path, {"203.0.113.0/24": {"country": {"iso_code": country}}})


def country(database: GeoDatabase, address: str = ADDRESS) -> object:
    return database.find(address).get(names.COUNTRY)


def test_a_place_is_found_by_the_smallest_network_that_has_the_address(tmp_path: Path) -> None:
    path = write_database(
        tmp_path / "geo.mmdb",
        {
            "203.0.0.0/16": {"country": {"iso_code": "CH"}},
            "203.0.113.0/24": {"country": {"iso_code": "DE"}},
            "2001:db8::/32": {"country": {"iso_code": "FR"}},
        },
    )

    database = GeoDatabase(str(path))

    addresses = [ADDRESS, "203.0.1.1", "2001:db8::1", "192.0.2.1", "::1", "no address", ""]
    assert [country(database, address) for address in addresses] == ["DE", "CH", "FR", *[None] * 4]


@pytest.mark.parametrize("missing", ["memfd_create", "extension"])
def test_where_the_fast_way_is_missing_the_slow_one_finds_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "extension":
        monkeypatch.setattr("maxminddb._extension", None)
    else:
        monkeypatch.delattr(os, "memfd_create", raising=False)

    assert country(GeoDatabase(str(path))) == "CH"


def test_a_missing_file_is_said_once_and_found_within_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = Clock(), tmp_path / "geo.mmdb"
    database = GeoDatabase(str(path), clock=clock)
    database.prepare()
    for _ in range(3):
        clock.now += CHECK_SECONDS
        assert country(database) is None

    write_country(path, "CH")
    clock.now += CHECK_SECONDS

    assert country(database) == "CH"
    assert [record.getMessage() for record in caplog.records] == [
        f"OTEL_USAGE_GEO_DATABASE is '{path}', which cannot be read (no such file or directory). Put a MaxMind DB "
        "file there that the app may read. Events go on without a country; a file that can be read is found within "
        "a minute."
    ]


def test_a_file_that_an_updater_puts_in_its_place_is_taken_within_a_minute(path: Path) -> None:
    clock = Clock()
    database = GeoDatabase(str(path), clock=clock)
    assert country(database) == "CH"
    write_country(path, "DE")

    before = country(database)
    clock.now += CHECK_SECONDS

    assert (before, country(database)) == ("CH", "DE")


def test_a_file_that_is_written_over_in_place_leaves_the_last_one_in_force(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, whole = Clock(), path.read_bytes()
    database = GeoDatabase(str(path), clock=clock)
    database.prepare()

    # A mapped file would end the process here.
    path.write_bytes(whole[:100])

    assert country(database) == "CH"
    clock.now += CHECK_SECONDS
    assert country(database, "203.0.113.8") == "CH"
    (record,) = caplog.records
    assert record.getMessage() == (
        f"OTEL_USAGE_GEO_DATABASE is '{path}', which is no whole MaxMind DB file (EOFError). Download it again, and "
        "unpack it if its name ends in .gz. Going on with the one that was read before."
    )


def test_a_damaged_file_costs_a_line_and_no_event(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = path.read_bytes()
    record = content.index(bytes(16), 100) + 16  # behind the tree
    path.write_bytes(content[:record] + b"\xff" * 8 + content[record + 8 :])
    database = GeoDatabase(str(path))

    found = [country(database, f"203.0.113.{number}") for number in range(5)]

    assert found == [None] * 5
    assert [record.getMessage() for record in caplog.records] == [
        f"OTEL_USAGE_GEO_DATABASE is '{path}', which is damaged. Download it again"
    ]


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    assert country(GeoDatabase(str(path))) is None

    assert "which cannot be read (it is no file)" in caplog.text


def test_without_its_package_the_log_says_how_to_install_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "maxminddb", None)

    assert country(GeoDatabase(str(path))) is None

    assert (
        "OTEL_USAGE_GEO_DATABASE needs maxminddb. Install it with: pip install 'otel-usage[geo]'"
        in caplog.text
    )


def test_addresses_that_come_again_are_not_looked_up_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = GeoDatabase(str(path))
    country(database)
    monkeypatch.setattr(database, "_reader", None)

    assert (country(database), country(database, "203.0.113.8")) == ("CH", None)


def test_a_database_says_what_it_is_and_when_it_was_built(path: Path) -> None:
    assert describe_database(str(path)) == "Test-City of 2026-09-21"


def test_a_database_without_countries_is_refused_by_name(tmp_path: Path) -> None:
    records = {"203.0.113.0/24": {"autonomous_system_organization": "Example"}}
    path = write_database(tmp_path / "asn.mmdb", records, kind="GeoLite2-ASN")

    with pytest.raises(SettingError) as caught:
        describe_database(str(path))

    assert str(caught.value) == (
        f"OTEL_USAGE_GEO_DATABASE is '{path}', of type GeoLite2-ASN, in which no countries were found. "
        "Expected one such as GeoLite2-Country or dbip-city-lite"
    )
