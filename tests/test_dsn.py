"""DSNs: what may stand in them, and what is said of one that cannot be used."""

from __future__ import annotations

import pytest

from otel_usage.dsn import parse_dsn
from otel_usage.errors import SettingError


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        pytest.param("http://db.example.org/usage", "http://db.example.org:8123/usage", id="default port"),
        pytest.param(
            "https://db.example.org/usage", "https://db.example.org:8443/usage", id="default TLS port"
        ),
        pytest.param("http://db.example.org", "http://db.example.org:8123/otel_usage", id="default database"),
        pytest.param("http://db.example.org:9/", "http://db.example.org:9/otel_usage", id="slash at the end"),
        pytest.param("http://ann:secret@db:1/usage", "http://db:1/usage", id="user and password"),
        pytest.param("http://[::1]:9/usage", "http://[::1]:9/usage", id="IPv6 host"),
        pytest.param("chdb:///var/lib/data/usage", "chdb:///var/lib/data/usage", id="chdb"),
    ],
)
def test_a_dsn_is_read_and_shown_without_its_password(dsn: str, shown: str) -> None:
    assert repr(parse_dsn(dsn)) == shown


def test_the_path_is_one_database_name() -> None:
    with pytest.raises(SettingError, match="the path of the DSN is one database name"):
        parse_dsn("http://db/proxy/usage")


def test_what_was_written_is_kept_without_the_password() -> None:
    assert parse_dsn("https://ann:sec:r@t@db/x?verify=false").masked == "https://ann:***@db/x?verify=false"


def test_user_and_password_may_hold_escaped_characters() -> None:
    dsn = parse_dsn("http://an%40n:s%2Fec%3Aret@db/usage")

    assert (dsn.username, dsn.password) == ("an@n", "s/ec:ret")


def test_a_chdb_dsn_ends_with_its_database() -> None:
    dsn = parse_dsn("chdb:///var/lib/data/usage")

    assert (dsn.path, dsn.database) == ("/var/lib/data", "usage")


@pytest.mark.parametrize(
    "dsn",
    [
        pytest.param("", id="empty"),
        pytest.param("localhost:8123", id="no scheme"),
        pytest.param("clickhouse://localhost/usage", id="another scheme"),
        pytest.param("http:///usage", id="no host"),
        pytest.param("http://localhost:port/usage", id="port is no number"),
        pytest.param("http://localhost:99999/usage", id="port is too high"),
        pytest.param("http://[::1/usage", id="half an address"),
        pytest.param("chdb:///usage", id="chdb without a directory"),
        pytest.param("chdb://host/data/usage", id="chdb with a host"),
    ],
)
def test_a_dsn_that_cannot_be_used_says_what_was_expected(dsn: str) -> None:
    with pytest.raises(SettingError) as raised:
        parse_dsn(dsn)

    assert str(raised.value) == (
        "The DSN cannot be used, expected http(s)://user:password@host:port/database or chdb:///path/database"
    )


@pytest.mark.parametrize("database", ["usage-2", "1usage", "a;b", "a'b", "a%20b", "ä", "a" * 129])
def test_a_database_name_must_be_an_identifier(database: str) -> None:
    with pytest.raises(SettingError, match="expected letters, digits and _"):
        parse_dsn(f"http://localhost/{database}")


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(SettingError) as raised:
        parse_dsn("https://localhost/usage?verfy=false")

    assert str(raised.value) == (
        "The DSN has the option 'verfy', expected one of: ca_cert, client_cert, client_cert_key, server_host_name, verify"
    )
