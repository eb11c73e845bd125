from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from otel_usage.instrumentation.wsgi import CountedBody, read_wsgi_request
from otel_usage.settings import Settings


@pytest.mark.parametrize(
    ("header", "value", "purpose"),
    [
        ("SEC_PURPOSE", "prefetch", "prefetch"),
        ("SEC_PURPOSE", "prefetch;prerender", "prerender"),
        ("SEC_PURPOSE", "prefetch;anonymous-client-ip", "prefetch"),
        ("SEC_PURPOSE", "PREFETCH", "prefetch"),
        ("SEC_PURPOSE", "", ""),
        ("SEC_PURPOSE", "x" * 10_000_000, ""),
        ("PURPOSE", "prefetch", "prefetch"),
        ("PURPOSE", "navigation", ""),
        ("X_PURPOSE", "preview", "preview"),
        ("X_MOZ", "prefetch", "prefetch"),
        ("X_MOZ", "\udcff", ""),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_request_in_advance_is_told_by_any_of_its_headers(header: str, value: str, purpose: str) -> None:
    assert read_wsgi_request({f"HTTP_{header}": value}, Settings.load({})).purpose == purpose


def basic(credentials: bytes) -> str:
    return "Basic " + b64encode(credentials).decode()


@pytest.mark.parametrize(
    ("header", "user"),
    [
        (basic(b"ann:password"), "ann"),
        (basic(b"ann:pass:word"), "ann"),
        (basic("zoë:pass".encode()), "zoë"),
        (basic(b"zo\xeb:pass"), "zo\ufffd"),
        (basic(b":password"), ""),
        (basic(b"no colon"), ""),
        (basic(b"x" * 5_000 + b":"), "x" * 256),
        (basic(b"x" * 5_000_000 + b":"), ""),
        (basic(b"ann:").replace("Basic", "bAsIc"), "ann"),
        ("Basic", ""),
        ("Basic !!!", ""),
        ("Basic \xff", ""),
        ("Bearer " + b64encode(b"ann:password").decode(), ""),
        ("", ""),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_name_of_basic_authentication_is_read_when_asked_for(header: str, user: str) -> None:
    environ = {"HTTP_AUTHORIZATION": header}

    assert read_wsgi_request(environ, Settings.load({}, basic_auth_users=True)).basic_user == user
    assert read_wsgi_request(environ, Settings.load({})).basic_user == ""


@pytest.mark.parametrize(
    ("parts", "size"),
    [
        ([], 0),
        ([b"ab", b"", b"c"], 3),
        (["ab", "é", "😀"], 8),
        ([bytearray(b"ab"), memoryview(b"c")], 3),
        ([7, None, "\udcff"], 0),
    ],
)
def test_a_body_goes_through_unchanged_and_counted(parts: list[Any], size: int) -> None:
    body = CountedBody(iter(parts))

    assert list(body) == parts
    assert body.bytes_sent == size


def test_a_body_is_counted_as_far_as_it_was_taken() -> None:
    body = CountedBody([b"ab", b"cd", b"ef"])

    assert next(iter(body)) == b"ab"
    assert body.bytes_sent == 2


def test_a_body_that_is_sent_again_is_counted_anew() -> None:
    first = CountedBody([b"ab"])
    second = CountedBody(first)

    assert list(first) == list(second) == [b"ab"]
    assert (first.bytes_sent, second.bytes_sent) == (2, 2)


def test_closing_reaches_the_body() -> None:
    closed: list[bool] = []

    def parts() -> Iterator[bytes]:
        try:
            yield b"a"
        finally:
            closed.append(True)

    body = CountedBody(parts())
    next(iter(body))
    body.close()
    CountedBody([]).close()

    assert closed == [True]
