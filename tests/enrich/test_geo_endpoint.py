"""A service that is asked over HTTP, with a real server at the other end."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from otel_usage.enrich import geo_endpoint
from otel_usage.enrich.geo_answer import read_answer
from otel_usage.enrich.geo_background import SourceUnavailable
from otel_usage.enrich.geo_endpoint import GeoEndpoint, address_to_send
from tests.enrich.geo_service import CH, Service, running_service
from tests.ports import free_port

ADDRESS = "203.0.113.7"


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as service:
        yield service


@pytest.mark.parametrize(
    ("form", "address", "path"),
    [
        pytest.param("/json/{ip}", ADDRESS, "/json/203.0.113.7", id="in its place"),
        pytest.param("/json/", ADDRESS, "/json/203.0.113.7", id="appended"),
        pytest.param("/?key=k&ip=", ADDRESS, "/?key=k&ip=203.0.113.7", id="appended to a query"),
        pytest.param("/{ip}/json?key=k", "2001:db8::7", "/2001%3Adb8%3A%3A7/json?key=k", id="quoted"),
    ],
)
def test_the_address_stands_where_the_setting_says(
    service: Service, form: str, address: str, path: str
) -> None:
    found = GeoEndpoint(service.url + form).ask(address)

    assert found == read_answer({"country": "CH", "city": "Bern"})
    assert service.paths == [path]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_service_may_not_know_one_address(service: Service, status: int) -> None:
    service.status = status

    assert GeoEndpoint(service.url + "/{ip}").ask(ADDRESS) == {}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, CH, "answered with status 500, expected 200"),
        (429, b"", "answered with status 429, expected 200"),
        (401, b"{}", "answered with status 401, expected 200"),
        (302, b"", "answered with status 302, expected 200"),
        (200, b"<html>", "answered with something else than a JSON object"),
        (200, b'["CH"]', "answered with something else than a JSON object"),
        (200, b"[" * 60_000, "answered with something else than a JSON object"),
        (200, b"\xff\xfe\x00", "answered with something else than a JSON object"),
        (
            200,
            b'{"country":"CH"}' + b" " * 70_000,
            "answered with more than 64 KiB, expected a short JSON object",
        ),
    ],
)
def test_what_is_no_answer_makes_the_service_unavailable(
    service: Service, status: int, body: bytes, reason: str
) -> None:
    service.status, service.body = status, body
    service.headers = {"Location": f"{service.url}/elsewhere"}

    with pytest.raises(SourceUnavailable) as caught:
        GeoEndpoint(service.url + "/{ip}").ask(ADDRESS)

    assert str(caught.value) == reason
    assert len(service.paths) == 1  # a redirection is not followed


def test_a_service_that_hangs_is_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geo_endpoint, "TIMEOUT_SECONDS", 0.05)
    service.answers.clear()

    with pytest.raises(SourceUnavailable, match=r"^gave no answer \(ReadTimeoutError\)$"):
        GeoEndpoint(service.url + "/{ip}").ask(ADDRESS)


def test_a_service_that_is_not_there_is_told_from_one_that_hangs() -> None:
    with pytest.raises(SourceUnavailable, match=r"^gave no answer \(NewConnectionError\)$"):
        GeoEndpoint(f"http://127.0.0.1:{free_port()}/{{ip}}").ask(ADDRESS)


def test_a_service_that_never_names_a_country_is_said_once(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.body = json.dumps({"status": "fail", "message": "invalid key"}).encode()
    endpoint = GeoEndpoint(service.url + "/{ip}?key=hunter2")

    for _ in range(3):
        assert endpoint.ask(ADDRESS) == {}

    (record,) = caplog.records
    assert record.getMessage() == (
        "The endpoint of OTEL_USAGE_GEO_ENDPOINT (127.0.0.1) has not named a country yet. Expected JSON with "
        "country_code or country, of two letters; its documentation may ask for a key"
    )


@pytest.mark.parametrize(
    ("address", "whole", "network"),
    [
        (ADDRESS, ADDRESS, "203.0.113.0"),
        ("2001:db8:1:2::7", "2001:db8:1:2::7", "2001:db8:1::"),
        *[
            (address, "", "")
            for address in (
                "10.1.2.3",
                "127.0.0.1",
                "169.254.169.254",
                "172.31.0.1",
                "192.168.1.1",
                "100.64.0.1",
                "0.0.0.0",
                "224.0.0.1",
                "255.255.255.255",
                "::1",
                "::",
                "fe80::1",
                "fd00::1",
                "ff02::1",
                "::ffff:10.0.0.1",
                "::ffff:127.0.0.1",
                "",
                "unknown",
            )
        ],
    ],
)
def test_addresses_inside_of_networks_are_told_to_nobody(address: str, whole: str, network: str) -> None:
    assert address_to_send(address, whole=True) == whole
    assert address_to_send(address, whole=False) == network
