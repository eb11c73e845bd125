from __future__ import annotations

import pytest

from otel_usage.instrumentation.redaction import bounded, redact_query, redact_url

SECRET_PARAMETERS = [
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Credential",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "auth_token",
    "csrf_token",
    "csrfmiddlewaretoken",
    "jwt",
    "password",
    "passwd",
    "pwd",
    "secret",
    "client_secret",
    "api_key",
    "apikey",
    "access_key",
    "auth",
    "authorization",
    "session",
    "sessionid",
    "session_id",
    "TOKEN",
    "Password",
]


@pytest.mark.parametrize("name", SECRET_PARAMETERS)
@pytest.mark.parametrize("pattern", ["{}=hunter2", "a=1&{}=hunter2", "{}=hunter2&a=1", "a=1;{}=hunter2;b=2"])
def test_the_value_of_a_secret_parameter_is_replaced(name: str, pattern: str) -> None:
    query = pattern.format(name)

    assert redact_query(query) == query.replace("hunter2", "REDACTED")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=shoes",
        "tokens=3",
        "mytoken=3",
        "token",
        "utm_source=news&utm_medium=mail",
        "a==b",
        "q=what+is+a+token",
        "page=2&sort=price",
    ],
)
def test_any_other_query_stays_as_it_is(query: str) -> None:
    assert redact_query(query) == query


def test_an_empty_secret_is_replaced_too() -> None:
    assert redact_query("token=&a=1") == "token=REDACTED&a=1"


def test_every_occurrence_is_replaced() -> None:
    assert redact_query("token=a&token=b&token=c") == "&".join(["token=REDACTED"] * 3)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.org/a?b=c", "https://example.org/a?b=c"),
        ("https://me:pw@example.org/a", "https://example.org/a"),
        ("https://me@example.org", "https://example.org"),
        ("https://me:p@w@example.org/a", "https://example.org/a"),
        ("https://example.org/@alice", "https://example.org/@alice"),
        ("https://example.org?mail=a@b.example", "https://example.org?mail=a@b.example"),
        ("https://example.org#a@b.example", "https://example.org#a@b.example"),
        ("/users/@alice?page=2", "/users/@alice?page=2"),
        ("https://example.org/?token=x#top", "https://example.org/?token=REDACTED#top"),
        ("https://example.org/#access_token=x", "https://example.org/#access_token=REDACTED"),
        ("/go?to=https://me:pw@example.org/", "/go?to=https://example.org/"),
        ("me:pw@example.org", "me:pw@example.org"),
        ("", ""),
    ],
)
def test_a_url_loses_its_password_and_secrets_and_nothing_else(url: str, kept: str) -> None:
    assert redact_url(url) == kept


def test_a_secret_behind_the_cut_is_not_kept() -> None:
    query = "q=" + "x" * 2030 + "&token=hunter2"

    assert "hunter2" not in bounded(redact_query(query), 2048)


@pytest.mark.parametrize("size", [2_048, 10_000_000])
def test_a_secret_before_the_cut_is_replaced_however_long_the_query_is(size: int) -> None:
    assert redact_query("token=hunter2&q=" + "x" * size).startswith("token=REDACTED&q=x")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain", "plain"),
        ("é漢😀", "é漢😀"),
        ("a\udcffb", "a?b"),
        ("a\ud83d", "a?"),
        ("a\0b", "a\0b"),
        ("x" * 300, "x" * 256),
        ("😀" * 300, "😀" * 256),
        ("", ""),
    ],
)
def test_a_text_is_bounded_and_can_be_encoded(text: str, kept: str) -> None:
    assert bounded(text, 256) == kept
    bounded(text, 256).encode()


def test_ten_megabytes_are_cut() -> None:
    assert bounded("é" * 10_000_000, 2048) == "é" * 2048
