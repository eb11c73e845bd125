"""Which request is tracked: the path, the view, and the groups that the view belongs to."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from otel_usage.instrumentation import scope
from otel_usage.instrumentation.scope import Place, Scope, exclude, include
from otel_usage.settings import Settings


class Group:
    """What a framework puts views into."""


def plain() -> None: ...


@include
def included() -> None: ...


@exclude
def excluded() -> None: ...


IN, OUT = include(Group()), exclude(Group())
UNMARKED = Group()
NOWHERE = Place()


@pytest.mark.parametrize(
    ("place", "in_all", "in_included"),
    [
        (Place(plain), "", "not_included_view"),
        (Place(included), "", ""),
        (Place(excluded), "excluded_view", "excluded_view"),
        (Place(plain, (IN,)), "", ""),
        (Place(plain, (OUT,)), "excluded_view", "excluded_view"),
        (Place(plain, (UNMARKED, IN)), "", ""),
        (Place(plain, (UNMARKED, OUT)), "excluded_view", "excluded_view"),
        (Place(plain, (IN, OUT)), "", ""),
        (Place(plain, (OUT, IN)), "excluded_view", "excluded_view"),
        (Place(included, (OUT,)), "", ""),
        (Place(excluded, (IN,)), "excluded_view", "excluded_view"),
        (NOWHERE, "", "unmatched"),
    ],
)
def test_the_mark_nearest_to_the_view_counts(place: Place, in_all: str, in_included: str) -> None:
    assert reason(place) == in_all
    assert reason(place, track="included") == in_included


@pytest.mark.parametrize(
    ("path", "place", "in_all", "in_included"),
    [
        ("/shop/1", Place(plain), "", ""),
        ("/shop/1", NOWHERE, "", ""),
        ("/shop/1", Place(excluded), "excluded_view", "excluded_view"),
        ("/shop/private", Place(included), "excluded_url", "excluded_url"),
        ("/about", Place(plain), "not_included_url", "not_included_view"),
        ("/about", Place(included), "", ""),
        ("/about", NOWHERE, "not_included_url", "unmatched"),
    ],
)
def test_an_excluded_url_is_final_and_an_included_one_needs_no_mark(
    path: str, place: Place, in_all: str, in_included: str
) -> None:
    urls = {"included_urls": "^/shop", "excluded_urls": "private"}

    assert reason(place, path, **urls) == in_all
    assert reason(place, path, track="included", **urls) == in_included


@pytest.mark.parametrize(
    ("track", "unmatched", "expected"),
    [
        ("all", "auto", ""),
        ("all", "true", ""),
        ("all", "false", "unmatched"),
        ("included", "auto", "unmatched"),
        ("included", "true", ""),
        ("included", "false", "unmatched"),
    ],
)
def test_a_request_that_no_view_answers_has_a_switch_of_its_own(
    track: str, unmatched: str, expected: str
) -> None:
    assert reason(NOWHERE, track=track, track_unmatched=unmatched) == expected


def test_the_last_mark_counts() -> None:
    def view() -> None: ...

    assert reason(Place(exclude(include(view)))) == "excluded_view"
    assert reason(Place(include(exclude(view)))) == ""


@pytest.mark.parametrize("mark", [include, exclude])
def test_a_decorator_returns_what_it_was_given(mark: Callable[[object], object]) -> None:
    def view() -> None: ...

    assert mark(view) is view


def test_a_decorator_between_view_and_route_keeps_the_mark() -> None:
    @functools.wraps(excluded)
    def signed_in_only() -> None: ...

    assert reason(Place(signed_in_only)) == "excluded_view"


class Page:
    def show(self) -> None: ...


def test_a_method_and_a_partial_are_marked_like_a_function() -> None:
    exclude(Page().show)

    assert reason(Place(Page().show)) == "excluded_view"
    assert reason(Place(exclude(functools.partial(plain)))) == "excluded_view"
    assert reason(Place(plain)) == ""


@pytest.mark.parametrize("thing", ["admin", len, 7, None])
def test_what_cannot_be_marked_is_logged_and_returned(
    thing: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert exclude(thing) is thing

    assert "expected a function, a class or a blueprint" in caplog.text


class Obliging:
    """Has every attribute that anybody asks for."""

    def __getattr__(self, name: str) -> str:
        return name


def test_an_object_that_makes_up_attributes_is_not_marked() -> None:
    assert reason(Place(Obliging()), track="included") == "not_included_view"


def reason(place: Place, path: str = "/", **settings: str) -> str:
    return Scope(Settings.load({}, **settings)).reason_to_filter(path, place)


@pytest.mark.parametrize(
    ("path", "settings", "expected"),
    [
        ("/app/cart", {}, ""),
        ("/app/cart", {"track": "included"}, ""),
        ("/app/cart", {"excluded_urls": "^/app/"}, "excluded_url"),
        ("/app/cart", {"included_urls": "^/app/"}, ""),
        ("/blog", {"included_urls": "^/app/"}, "not_included_url"),
    ],
)
def test_a_page_that_only_the_browser_knows_is_judged_by_its_url(
    path: str, settings: dict[str, str], expected: str
) -> None:
    assert Scope(Settings.load({}, **settings)).reason_to_filter_page(path) == expected


def test_a_view_of_ours_is_included_where_marks_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "_has_marks", False)
    view = scope.include_where_asked(lambda: None)

    assert not Scope(Settings()).needs_place
    assert Scope(Settings.load({}, track="included")).reason_to_filter("/log/", Place(view)) == ""
