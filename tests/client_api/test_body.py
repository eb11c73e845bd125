from __future__ import annotations

import random
from contextlib import suppress

import pytest

from otel_usage.client_api.body import BadBody, UnknownMediaType, read_fields
from tests.client_api.calls import FORM, JSON, TEXT, as_form, as_json, as_multipart

TYPES = ["", FORM, JSON, TEXT, "multipart/form-data; boundary=edge", 'multipart/form-data; boundary="', "a/b"]


@pytest.mark.parametrize("content_type", TYPES)
def test_rubbish_is_told_as_such_and_raises_nothing_else(content_type: str) -> None:
    chance = random.Random(7)
    for body in (as_json(), as_form(), as_multipart()):
        for _ in range(300):
            broken = bytearray(body)
            for _ in range(chance.randrange(1, 6)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            with suppress(BadBody, UnknownMediaType):
                assert isinstance(read_fields(content_type, bytes(broken)), dict)


def test_an_error_quotes_nothing_of_the_body() -> None:
    with pytest.raises(BadBody) as caught:
        read_fields(JSON, b'{"password": hunter2}')

    assert "hunter2" not in str(caught.value)


def test_the_name_of_a_type_is_shown_short_and_clean() -> None:
    with pytest.raises(UnknownMediaType) as caught:
        read_fields('a/"\x00<é>' + "b" * 1000, b"x")

    assert str(caught.value) == f'Unsupported media type "a/<>{"b" * 57}" in request.'
