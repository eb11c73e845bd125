"""Every page of the shop answers, and answers what the plan says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from otel_usage import wiring
from otel_usage.demo.flask_shop import create_app
from otel_usage.demo.shop.products import CATEGORIES, PRODUCTS
from otel_usage.demo.simulator import DEFAULT_SEED, plan_visitors
from otel_usage.demo.visitors import FOLLOW


@pytest.fixture(autouse=True)
def tracking_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the pages record from starting a worker in the process of the tests."""
    monkeypatch.setattr(wiring, "_wiring", wiring._Wiring())
    monkeypatch.setenv("OTEL_USAGE_DISABLED", "true")


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    # As in production: an error becomes a page instead of going on to the test.
    with create_app().test_client() as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/", 200, "good at one thing"),
        ("/about", 200, "to be visited"),
        ("/imprint", 200, "no stock"),
        ("/signup", 200, "E-mail"),
        ("/welcome", 200, "next letter"),
        ("/cart", 200, "Nothing in it"),
        ("/checkout", 200, "comes to"),
        ("/stock-check", 200, "All thirty"),
        ("/catalog.csv", 200, "tin-mug"),
        ("/robots.txt", 200, "Disallow"),
        ("/healthz", 200, "ok"),
        ("/static/shop.css", 200, "--ink"),
        ("/voucher", 500, "It was us"),
        ("/nowhere", 404, "nothing at this address"),
        ("/product/nothing", 404, "nothing at this address"),
        ("/category/nothing", 404, "nothing at this address"),
        ("/order/7", 404, "nothing at this address"),
    ],
)
def test_each_page_answers(client: FlaskClient, path: str, status: int, text: str) -> None:
    response = client.get(path)

    assert (response.status_code, text in response.text) == (status, True)
    response.close()


@pytest.mark.parametrize("slug", CATEGORIES)
def test_each_shelf_shows_its_products(client: FlaskClient, slug: str) -> None:
    page = client.get(f"/category/{slug}").text

    assert sum(f"/product/{product}" in page for product in PRODUCTS) == 6


@pytest.mark.parametrize("slug", PRODUCTS)
def test_each_product_has_a_page(client: FlaskClient, slug: str) -> None:
    assert str(PRODUCTS[slug].price) in client.get(f"/product/{slug}").text


def test_a_cart_becomes_an_order_that_only_its_buyer_sees(client: FlaskClient) -> None:
    client.post("/cart/add", data={"slug": "tin-mug"})
    client.post("/cart/add", data={"slug": "tin-mug"})
    assert "€ 26.00" in client.get("/cart").text

    order = client.post("/checkout", data={"name": "Demo"}).location

    assert client.get(order).status_code == 200
    assert create_app().test_client().get(order).status_code == 404
    assert "Nothing in it" in client.get("/cart").text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        pytest.param("/checkout", {"name": "Demo"}, id="an empty cart"),
        pytest.param("/signup", {"email": "nobody"}, id="no address"),
    ],
)
def test_a_form_that_cannot_be_used_is_shown_again(
    client: FlaskClient, path: str, form: dict[str, str]
) -> None:
    response = client.post(path, data=form)

    assert response.status_code == 400
    assert 'role="alert"' in response.text


def test_the_price_list_is_streamed(client: FlaskClient) -> None:
    response = client.get("/catalog.csv")

    assert response.is_streamed
    assert len(response.text.splitlines()) == len(PRODUCTS) + 1


def test_the_shop_answers_every_planned_request_as_planned() -> None:
    shop = create_app()
    unplanned = []

    for visitor in plan_visitors(DEFAULT_SEED, 600):
        client = shop.test_client(use_cookies=visitor.keeps_cookies)
        location = ""
        for request in (request for visit in visitor.visits for request in visit):
            target = location if request.target == FOLLOW else request.target
            with client.open(target, method=request.method, data=dict(request.form) or None) as response:
                location = response.location or ""
                if response.status_code != request.status:
                    unplanned.append((request, response.status_code))

    assert unplanned == []
