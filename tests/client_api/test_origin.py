from __future__ import annotations

import pytest

from otel_usage.client_api.origin import CallingSite, OriginCheck, OwnSite

OWN = OwnSite("shop.example", is_https=True)


@pytest.mark.parametrize(
    ("calling", "own"),
    [
        pytest.param(CallingSite("https://shop.example"), OWN, id="a page of the site"),
        pytest.param(CallingSite("https://SHOP.example"), OWN, id="in capitals"),
        pytest.param(CallingSite("https://shop.example", "same-origin"), OWN, id="both headers"),
        pytest.param(CallingSite("https://shop.example"), OwnSite("shop.example"), id="a proxy that ends TLS"),
        pytest.param(CallingSite("http://localhost:8080"), OwnSite("localhost"), id="a proxy that drops the port"),
        pytest.param(CallingSite("http://localhost:8080"), OwnSite("localhost:8080"), id="a port"),
        pytest.param(CallingSite("http://[::1]:8080"), OwnSite("[::1]:8080"), id="IPv6"),
        pytest.param(CallingSite("https://shop.example"), OwnSite("shop.example:443", True), id="the usual port"),
        pytest.param(CallingSite("", "same-origin"), OWN, id="Sec-Fetch-Site alone"),
        pytest.param(CallingSite("null", "same-origin"), OWN, id="a page that sends no referrer"),
        pytest.param(CallingSite("", "", "https://shop.example/cart?a=1"), OWN, id="Referer alone"),
        pytest.param(CallingSite(), OWN, id="no browser"),
        pytest.param(CallingSite("https://app.example.org", "cross-site"), OWN, id="an allowed origin"),
    ],
)  # fmt: skip
def test_a_page_of_the_site_may_call(calling: CallingSite, own: OwnSite) -> None:
    assert OriginCheck(["https://app.example.org"]).allows(calling, own)


@pytest.mark.parametrize(
    "calling",
    [
        CallingSite("https://evil.example"),
        CallingSite("https://shop.example.evil.example"),
        CallingSite("https://evil.example", "same-origin", "https://shop.example/"),
        CallingSite("https://shop.example@evil.example"),
        CallingSite("https://sub.shop.example"),
        CallingSite("http://shop.example"),
        CallingSite("https://shop.example", "cross-site"),
        CallingSite("https://shop.example:bad"),
        CallingSite("https://[shop"),
        CallingSite("https://"),
        CallingSite("shop.example"),
        CallingSite("file://shop.example"),
        CallingSite("null"),
        CallingSite("null", "", "https://evil.example/"),
        CallingSite("null", "cross-site", "https://shop.example/"),
        CallingSite("", "cross-site", "https://shop.example/"),
        CallingSite("", "same-site"),
        CallingSite("", "", "https://evil.example/?https://shop.example/"),
        CallingSite("https://app.example.org.evil.example"),
    ],
    ids=repr,
)
def test_a_page_of_another_site_may_not(calling: CallingSite) -> None:
    assert not OriginCheck(["https://app.example.org"]).allows(calling, OWN)


def test_another_port_is_another_site_where_the_port_is_known() -> None:
    assert not OriginCheck().allows(CallingSite("http://localhost:3000"), OwnSite("localhost:8000"))


def test_a_host_that_is_not_known_is_nobodys() -> None:
    assert not OriginCheck().allows(CallingSite("https://shop.example"), OwnSite(""))
