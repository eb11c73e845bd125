from __future__ import annotations

import pytest

from otel_usage import attributes as names
from otel_usage.enrich.referrer import read_referrer_domain
from otel_usage.model import NO_SPAN, AttributeValue, Event


def domain(referrer: AttributeValue, host: str = "shop.example") -> AttributeValue | None:
    attributes = {names.REFERRER_URL: referrer, names.HOST: host}
    event = Event("request", 1, 2, bytes(16), bytes(8), NO_SPAN, "shop", attributes)
    return read_referrer_domain(event).get(names.REFERRER_DOMAIN)


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("https://www.news.example/story?x=1", "news.example"),
        ("https://NEWS.example/", "news.example"),
        ("http://news.example:8080/", "news.example"),
        ("https://m.news.example/", "m.news.example"),
        ("android-app://com.example.reader/", "com.example.reader"),
        ("https://[2001:db8::1]/", "2001:db8::1"),
        ("https://bücher.example/", "bücher.example"),
        ("https://" + "x" * 10_000_000, "x" * names.MAX_NAME),
    ],
)
def test_the_site_that_sent_the_visitor_is_read(referrer: str, expected: str) -> None:
    assert domain(referrer) == expected


@pytest.mark.parametrize(
    "referrer", ["https://shop.example/cart", "https://www.shop.example/", "http://SHOP.example"]
)
@pytest.mark.parametrize("host", ["shop.example", "www.shop.example", "Shop.Example"])
def test_a_page_of_the_same_host_sends_nobody(referrer: str, host: str) -> None:
    assert domain(referrer, host) is None


@pytest.mark.parametrize(
    "referrer",
    [
        "",
        "about:blank",
        "javascript:alert(1)",
        "news.example",
        "/cart",
        "https://",
        "https://[::1",
        "\0",
        7,
        None,
        ["https://a.example"],
    ],
)
def test_what_is_no_site_sends_nobody(referrer: AttributeValue) -> None:
    assert domain(referrer) is None
