"""The ways through the shop, each a list of requests with what the shop must answer."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from otel_usage.demo.shop.products import CATEGORIES, PRODUCTS, products_of
from otel_usage.demo.visitors import FOLLOW, PlannedRequest

_REFERRERS = (
    "",
    "https://www.google.com/",
    "https://duckduckgo.com/",
    "https://fern-journal.example/2026/a-better-mister",
    "https://www.slow-house.example/links?page=2",
)
_CAMPAIGNS = ("", "", "", "spring-letter", "harvest-fair")
_GONE = ("/wp-login.php", "/sale", "/product/left-handed-kettle", "/category/boats", "/order/1", "/.env")
_HOW_FAR = (14, 26, 22, 16, 10, 12)
"""Of a hundred who come to buy: leave from the first page, from a product, … the last ones order."""


def _get(
    target: str, route: str, *, status: int = 200, stage: tuple[str, str] | None = None
) -> PlannedRequest:
    return PlannedRequest("GET", target, route, status, stages=(stage,) if stage else ())


def _home() -> PlannedRequest:
    return _get("/", "/", stage=("purchase", "shop"))


def _category(slug: str) -> PlannedRequest:
    return _get(f"/category/{slug}", "/category/<slug>", stage=("purchase", "shop"))


def _product(slug: str) -> PlannedRequest:
    shown = _get(f"/product/{slug}", "/product/<slug>", stage=("purchase", "product"))
    return replace(shown, product=slug)


def _add_to_cart(slug: str) -> list[PlannedRequest]:
    added = PlannedRequest("POST", "/cart/add", "/cart/add", 302, form=(("slug", slug),))
    shown = _get(FOLLOW, "/cart", stage=("purchase", "cart"))
    return [added, shown]


def _checkout() -> PlannedRequest:
    return _get("/checkout", "/checkout", stage=("purchase", "checkout"))


def _order(name: str) -> PlannedRequest:
    """Send the form; without a name the shop shows it again."""
    form = (("name", name),)
    if not name:
        return PlannedRequest("POST", "/checkout", "/checkout", 400, form=form)
    reached = (("purchase", "checkout"), ("purchase", "order"))
    return PlannedRequest(
        "POST", "/checkout", "/checkout", 302, form=form, stages=reached, event="order_placed"
    )


def _enter(random: Random, requests: list[PlannedRequest]) -> list[PlannedRequest]:
    """Let the first page be reached from somewhere, by a search or by a campaign's link."""
    first = replace(requests[0], referrer=random.choice(_REFERRERS))
    campaign = random.choice(_CAMPAIGNS)
    if campaign:
        query = f"utm_source={campaign}&utm_medium=email&utm_campaign=demo"
        first = replace(first, target=f"{first.target}?{query}", campaign=campaign)
    return [first, *requests[1:]]


def buy(random: Random) -> list[PlannedRequest]:
    """Look for something to buy, and go as far as it goes."""
    stage = random.choices(range(len(_HOW_FAR)), _HOW_FAR)[0]
    return _buy_until(random, stage)


def buy_everything(random: Random) -> list[PlannedRequest]:
    """Go all the way to the order."""
    return _buy_until(random, len(_HOW_FAR) - 1)


def _buy_until(random: Random, stage: int) -> list[PlannedRequest]:
    category = random.choice(list(CATEGORIES))
    wanted = random.sample([product.slug for product in products_of(category)], random.randint(1, 3))
    ways = [_home(), _category(category)]
    requests = ways if stage else ways[: random.randint(1, 2)]
    if stage >= 1:
        requests += [_product(slug) for slug in wanted]
    if stage >= 2:
        requests += _add_to_cart(wanted[-1])
    if stage >= 3:
        requests.append(_checkout())
    if stage >= 4 and random.random() < 0.5:
        requests.append(_order(name=""))
    if stage >= 5:
        requests += [_order(name="Demo"), _get(FOLLOW, "/order/<int:number>")]
    return _enter(random, requests)


def land_on_product(random: Random) -> list[PlannedRequest]:
    """Come from a search straight to a product: the funnel's second stage before its first."""
    requests = [_product(random.choice(list(PRODUCTS)))]
    if random.random() < 0.4:
        requests.append(_home())
    if random.random() < 0.3:
        requests.append(_product(random.choice(list(PRODUCTS))))
    return _enter(random, requests)


def sign_up(random: Random) -> list[PlannedRequest]:
    """Want the letter; mistype the address now and then; leave the form alone now and then."""
    form = _get("/signup", "/signup", stage=("signup", "form"))
    requests = [_home(), form] if random.random() < 0.6 else [form]
    if random.random() < 0.3:
        requests.append(PlannedRequest("POST", "/signup", "/signup", 400, form=(("email", "nobody"),)))
    if random.random() < 0.6:
        sent = PlannedRequest("POST", "/signup", "/signup", 302, form=(("email", "someone@shop.example"),))
        requests += [
            replace(sent, stages=(("signup", "form"),)),
            _get(FOLLOW, "/welcome", stage=("signup", "done")),
        ]
    return _enter(random, requests)


def read(random: Random) -> list[PlannedRequest]:
    """Read about the shop rather than buy from it."""
    price_list = replace(_get("/catalog.csv", "/catalog.csv"), event="response_sent")  # a stream
    pages = [_get("/about", "/about"), _get("/imprint", "/imprint"), price_list]
    requests = [_home(), *random.sample(pages, random.randint(1, 3))]
    if random.random() < 0.3:
        requests.append(_get("/stock-check", "/stock-check"))
    return _enter(random, requests)


def look_around(random: Random) -> list[PlannedRequest]:
    """Click from page to page without a plan; works without cookies."""
    shelves = random.sample(list(CATEGORIES), 2)
    goods = random.sample(list(PRODUCTS), random.randint(1, 3))
    return _enter(random, [_home(), *map(_category, shelves), *map(_product, goods)])


def get_lost(random: Random) -> list[PlannedRequest]:
    """Follow a link that leads nowhere any more."""
    target = random.choice(_GONE)
    requests = [_get(target, _route_of_gone(target), status=404)]
    if random.random() < 0.5:
        requests.append(_home())
    return requests


def _route_of_gone(target: str) -> str:
    for prefix, route in (
        ("/product/", "/product/<slug>"),
        ("/category/", "/category/<slug>"),
        ("/order/", "/order/<int:number>"),
    ):
        if target.startswith(prefix):
            return route
    return ""


def meet_an_error(random: Random) -> list[PlannedRequest]:
    """Find the page that fails, and try it again."""
    failed = _get("/voucher", "/voucher", status=500)
    return _enter(random, [_home(), *[failed] * random.randint(1, 2)])


def crawl(random: Random) -> list[PlannedRequest]:
    """Read the shop as a search engine does."""
    goods = random.sample(list(PRODUCTS), random.randint(2, 8))
    pages = [_get("/robots.txt", "/robots.txt"), _home(), *map(_product, goods)]
    return [*pages, _get("/sitemap.xml", "", status=404)]


def check_health(random: Random) -> list[PlannedRequest]:
    """Ask whether the shop is open, without wanting the page."""
    head = replace(_home(), method="HEAD")
    return [_get("/healthz", "/healthz"), head] * random.randint(1, 3)
