from __future__ import annotations

import pytest

from otel_usage import attributes as names
from otel_usage.enrich.campaign import read_campaign
from otel_usage.model import NO_SPAN, AttributeValue, Event


def campaign(query: AttributeValue) -> dict[str, AttributeValue]:
    event = Event("request", 1, 2, bytes(16), bytes(8), NO_SPAN, "shop", {names.QUERY: query})
    return dict(read_campaign(event))


def test_all_five_parameters_are_read() -> None:
    query = "utm_source=news&utm_medium=mail&utm_campaign=spring+sale&utm_term=shoes&utm_content=top%20link"

    assert campaign(query) == {
        names.CAMPAIGN_SOURCE: "news",
        names.CAMPAIGN_MEDIUM: "mail",
        names.CAMPAIGN_NAME: "spring sale",
        names.CAMPAIGN_TERM: "shoes",
        names.CAMPAIGN_CONTENT: "top link",
    }


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("utm_source=a&utm_source=b", "a"),
        ("utm_source=&utm_source=b", "b"),
        ("x=1&utm_source=%C3%A9", "é"),
        ("utm_source=%FF", "\ufffd"),
        ("utm_source=" + "x" * 1000, "x" * names.MAX_NAME),
    ],
)
def test_the_first_value_that_says_something_counts(query: str, source: str) -> None:
    assert campaign(query) == {names.CAMPAIGN_SOURCE: source}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=utm_",
        "utm_source",
        "utm_source=",
        "UTM_SOURCE=a",
        "my_utm_source=a",
        "&" * 10_000 + "utm_source=a&" * 300,
        7,
        None,
    ],
)
def test_anything_else_is_no_campaign(query: AttributeValue) -> None:
    assert campaign(query) == {}
