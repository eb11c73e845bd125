from __future__ import annotations

import pytest

from otel_usage import attributes as names
from otel_usage.client_api.page import PAGE_FRAGMENT, PAGE_URL, Page, read_page
from otel_usage.instrumentation.redaction import secret_parameters

BASE = "https://shop.example:8443/app/list?old=1#top"
SITE = "https://shop.example:8443"


@pytest.mark.parametrize(
    ("address", "url", "path", "query", "fragment"),
    [
        ("/cart", f"{SITE}/cart", "/cart", "", ""),
        ("/cart?a=1&b=2", f"{SITE}/cart?a=1&b=2", "/cart", "a=1&b=2", ""),
        ("/app#/cart/7", f"{SITE}/app#/cart/7", "/app", "", "/cart/7"),
        ("#/cart", f"{SITE}/app/list?old=1#/cart", "/app/list", "old=1", "/cart"),
        ("?page=2", f"{SITE}/app/list?page=2", "/app/list", "page=2", ""),
        ("item", f"{SITE}/app/item", "/app/item", "", ""),
        ("https://shop.example:8443", SITE, "/", "", ""),
        ("/caf%C3%A9", f"{SITE}/caf%C3%A9", "/café", "", ""),
        ("/café", f"{SITE}/café", "/café", "", ""),
        ("/%ff%00", f"{SITE}/%ff%00", "/\ufffd\0", "", ""),
        ("//cart", f"{SITE}//cart", "//cart", "", ""),
    ],
)
def test_an_address_is_split_as_that_of_a_request(
    address: str, url: str, path: str, query: str, fragment: str
) -> None:
    assert read_page(address, BASE) == Page(url, "https", "shop.example", path, query, fragment)


def test_a_whole_url_names_its_own_host() -> None:
    page = read_page("http://other.example/a?b#c", BASE)

    assert page == Page("http://other.example/a?b#c", "http", "other.example", "/a", "b", "c")


@pytest.mark.parametrize(
    "address", ["app://screen/7", "javascript:alert(1)", "http://[", "data:text/html,x", "http://"]
)
def test_what_is_no_web_address_is_kept_as_a_path(address: str) -> None:
    assert read_page(address, BASE) == Page(address, "", "", address, "", "")


def test_secrets_are_taken_out_of_every_part() -> None:
    page = read_page("https://ann:pw@shop.example/a?token=x&b=1#access_token=y", BASE)

    assert page.attributes(secret_parameters()) == {
        names.PATH: "/a",
        names.QUERY: "token=REDACTED&b=1",
        names.SCHEME: "https",
        names.HOST: "shop.example",
        PAGE_URL: "https://shop.example/a?token=REDACTED&b=1#access_token=REDACTED",
        PAGE_FRAGMENT: "access_token=REDACTED",
    }


def test_every_part_is_bounded() -> None:
    page = read_page("/" + "a" * 9000 + "?" + "b" * 9000 + "#" + "c" * 9000, "https://" + "h" * 999 + "/")

    assert max(map(len, page.attributes(secret_parameters()).values())) == names.MAX_TEXT
