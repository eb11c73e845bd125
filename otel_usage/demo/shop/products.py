"""What the shop sells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Category:
    """A shelf of the shop."""

    slug: str
    name: str
    line: str
    """One sentence for the head of its page."""


@dataclass(frozen=True, slots=True)
class Product:
    """One thing to buy."""

    slug: str
    name: str
    category: str
    """Slug of the category."""
    price: Decimal
    """Euro, tax included."""
    description: str


CATEGORIES = {
    category.slug: category
    for category in (
        Category("kitchen", "Kitchen", "Tools that stay on the hook because they are in use."),
        Category("desk", "Desk", "Paper, ink and the things that keep them in order."),
        Category("garden", "Garden", "For beds, balconies and one very large fern."),
        Category("light", "Light", "Lamps for reading, for supper and for the stairs."),
        Category("journey", "Journey", "Small luggage that has been further than we have."),
    )
}

_SHELVES: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "kitchen": (
        (
            "harbour-kettle",
            "Harbour kettle",
            "64.00",
            "Enamelled steel, 1.6 litres, and a whistle in two notes.",
        ),
        (
            "ash-spoon",
            "Ash spoon",
            "12.50",
            "One piece of ash wood, oiled, with a flat edge for the pan's corner.",
        ),
        ("crumb-knife", "Crumb knife", "38.00", "A bread knife with wide teeth that saw instead of tear."),
        ("salt-cellar", "Salt cellar", "21.00", "Stoneware with a lid that swings aside under a thumb."),
        ("linen-cloths", "Linen cloths, three", "27.00", "Washed linen that dries glass without a trace."),
        ("tide-bowl", "Tide bowl", "33.50", "Thrown by hand; the glaze pools blue at the bottom."),
    ),
    "desk": (
        (
            "field-notebook",
            "Field notebook",
            "9.80",
            "Ninety-six dotted pages that lie flat from the first to the last.",
        ),
        ("walnut-tray", "Walnut tray", "41.00", "Keeps keys, pens and the stone from that beach together."),
        ("slate-ink", "Slate ink", "16.00", "A grey that reads as black in the evening. 40 millilitres."),
        (
            "brass-rule",
            "Brass rule",
            "18.50",
            "Thirty centimetres, engraved, heavy enough for a draughty room.",
        ),
        ("letter-stand", "Letter stand", "29.00", "Bent steel wire with five places for what is due."),
        ("eraser-block", "Eraser block", "4.20", "Natural rubber, cut from the sheet, smells of nothing."),
    ),
    "garden": (
        ("fern-mister", "Fern mister", "24.00", "Zinc and brass; a mist as fine as the forest's own."),
        ("root-fork", "Root fork", "31.00", "Three forged tines that lift a carrot without a scar."),
        ("seed-tin", "Seed tin", "19.50", "Twelve months, twelve dividers, one tin against mice."),
        ("twine-drum", "Twine drum", "8.40", "Eighty metres of jute with a blade set into the lid."),
        (
            "rain-jug",
            "Rain jug",
            "46.00",
            "Five litres, balanced so that the last cup pours as well as the first.",
        ),
        ("lavender-bundle", "Lavender bundle", "7.90", "Dried on the stem, for drawers and for pockets."),
    ),
    "light": (
        (
            "reading-lamp",
            "Reading lamp",
            "129.00",
            "An arm in two joints and a shade that throws light on the page alone.",
        ),
        ("stair-lantern", "Stair lantern", "88.00", "Opal glass around a warm bulb; hangs or stands."),
        ("beeswax-pair", "Beeswax candles, two", "14.60", "Dipped forty times; seven hours each."),
        ("clip-light", "Clip light", "52.00", "Holds on to a shelf, a bed or a music stand."),
        (
            "match-box",
            "Long matches",
            "5.50",
            "Sixty matches of twenty centimetres, with a striker that lasts.",
        ),
        (
            "paper-shade",
            "Paper shade",
            "36.00",
            "Folded from one sheet; arrives flat, with a very short manual.",
        ),
    ),
    "journey": (
        (
            "canvas-roll",
            "Canvas roll",
            "58.00",
            "Tools, brushes or cutlery in nine pockets, tied with one strap.",
        ),
        ("wool-blanket", "Wool blanket", "142.00", "Woven in one width, warm when wet, 1.9 kilograms."),
        ("tin-mug", "Tin mug", "13.00", "Holds a quarter of a litre and a grudge against ceramic."),
        ("map-case", "Map case", "34.00", "Waxed cotton with a window, for maps and for other paper."),
        ("pocket-compass", "Pocket compass", "49.00", "Liquid-filled, in a case that shuts with a click."),
        ("shoe-brush", "Shoe brush", "11.20", "Horse hair in beech; fits a pocket, and a station's bench."),
    ),
}

PRODUCTS = {
    slug: Product(slug, name, category, Decimal(price), description)
    for category, shelf in _SHELVES.items()
    for slug, name, price, description in shelf
}

_SHOWN_AT_HOME = (
    "harbour-kettle",
    "reading-lamp",
    "field-notebook",
    "wool-blanket",
    "fern-mister",
    "tide-bowl",
)


def products_of(category: str) -> list[Product]:
    """Return the products of a category's slug, in the order of the shelf."""
    return [product for product in PRODUCTS.values() if product.category == category]


def products_at_home() -> list[Product]:
    """Return the products that the front page shows."""
    return [PRODUCTS[slug] for slug in _SHOWN_AT_HOME]


def price_list() -> Iterator[str]:
    """Yield the rows of the price list as CSV."""
    yield "slug,name,category,price\r\n"
    for each in PRODUCTS.values():
        yield f'{each.slug},"{each.name}",{each.category},{each.price}\r\n'
