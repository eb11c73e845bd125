from __future__ import annotations

import re

import pytest

from otel_usage.client_api.script import SCRIPT, answer_script


def test_the_script_is_at_most_one_and_a_half_kilobytes() -> None:
    assert len(SCRIPT) <= 1536


@pytest.mark.parametrize(
    "word", [r"\beval\b", r"\bFunction\(", r"innerHTML", r"document\.write", r"document\.cookie"]
)
def test_the_script_needs_nothing_that_a_content_security_policy_forbids(word: str) -> None:
    assert not re.search(word, SCRIPT.decode("ascii"))


def test_who_has_the_script_is_not_sent_it_again() -> None:
    first = answer_script("")
    etag = dict(first.headers)["ETag"]

    assert first.status == 200
    assert answer_script(etag).status == answer_script(f'"other", W/{etag}').status == 304
    assert answer_script('"other"').status == 200
