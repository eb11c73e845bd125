"""What is tracked of a site, and what is not, in every framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.util.http import ExcludeList

import otel_usage
from otel_usage import attributes as names
from tests.frameworks.shops import Shop, our_cookies
from tests.tracking import Tracking

MARKED_OUT = ("/excluded/", "/excluded-async/", "/secret/", "/hidden/", "/excluded-outside/")
MARKED_IN = ("/included/", "/shown/")


def tracked_paths(tracking: Tracking, shop: Shop, *paths: str) -> list[object]:
    """Ask for the paths, and return those of the events."""
    for path in paths:
        shop.get(path)
    return [event.attributes[names.PATH] for event in tracking.events("request")]


def filtered(tracking: Tracking) -> dict[str, int]:
    return dict(tracking.accounting().filtered)


def test_views_that_are_marked_are_not_tracked(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start()

    tracked = tracked_paths(tracking, shop, *MARKED_OUT, *MARKED_IN, "/item/7/")

    assert tracked == [*MARKED_IN, "/item/7/"]
    # With the one event that each of the first two records inside.
    assert filtered(tracking) == {"excluded_view": len(MARKED_OUT) + 2}


def test_only_views_that_are_marked_are_tracked_when_asked_for(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start(track="included")

    tracked = tracked_paths(tracking, shop, *MARKED_OUT, *MARKED_IN, "/item/7/", "/async-item/7/")

    assert tracked == [*MARKED_IN]
    assert filtered(tracking) == {"excluded_view": len(MARKED_OUT) + 2, "not_included_view": 2}


def test_an_excluded_request_has_no_cookie_no_visit_and_no_event(tracking: Tracking, shop: Shop) -> None:
    tracking.start(excluded_urls="^/(visit|events|stream)/")

    answers = [shop.get(path) for path in ("/visit/", "/events/", "/excluded/")]

    assert [answer.text for answer in answers] == ["False ''", "False", "excluded"]
    assert [our_cookies(answer) for answer in answers] == [[], [], []]
    assert tracking.events() == []
    assert filtered(tracking) == {"excluded_url": 4, "excluded_view": 2}


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
def test_the_stream_of_an_excluded_request_records_nothing(tracking: Tracking, shop: Shop) -> None:
    tracking.start()

    assert shop.get("/quiet-stream/").data == b"a"

    assert tracked_paths(tracking, shop, "/item/7/") == ["/item/7/"]
    assert len(tracking.events()) == 1


@pytest.mark.parametrize(
    ("settings", "tracked"),
    [
        ({}, ["/item/7/", "/nowhere/"]),
        ({"track_unmatched": "false"}, ["/item/7/"]),
        ({"track": "included"}, []),
        ({"track": "included", "track_unmatched": "true"}, ["/nowhere/"]),
        ({"track": "included", "included_urls": "^/now"}, ["/nowhere/"]),
        ({"included_urls": "^/item"}, ["/item/7/"]),
        ({"track": "included", "included_urls": "^/item"}, ["/item/7/"]),
        ({"excluded_urls": "^/item"}, ["/nowhere/"]),
    ],
)
def test_paths_and_404s_have_switches_of_their_own(
    tracking: Tracking, shop: Shop, settings: dict[str, Any], tracked: list[str]
) -> None:
    tracking.start(**settings)

    assert tracked_paths(tracking, shop, "/item/7/", "/nowhere/") == tracked


def test_an_excluded_url_goes_before_an_included_view(tracking: Tracking, shop: Shop) -> None:
    tracking.start(excluded_urls="^/included/")

    assert tracked_paths(tracking, shop, "/included/", "/item/7/") == ["/item/7/"]
    assert filtered(tracking) == {"excluded_url": 1}


def test_static_files_are_excluded_by_default(tracking: Tracking, shop: Shop) -> None:
    tracking.start()

    with override_settings(STATIC_URL="/assets/"):
        tracked = tracked_paths(tracking, shop, "/static/a.css", "/assets/a.css", "/nowhere/")

    # Django has a name for its own.
    assert tracked == (["/nowhere/"] if shop.is_django else ["/assets/a.css", "/nowhere/"])


def test_a_request_inside_a_view_belongs_to_the_outer_one(
    tracking: Tracking, start: Callable[..., None], shop: Shop
) -> None:
    start()

    assert shop.get("/nested/").text == "item 1"

    assert tracking.request().attributes[names.PATH] == "/nested/"
    assert otel_usage.current_visit() is None


def test_a_url_that_contrib_excludes_is_still_an_event(
    tracking: Tracking, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.start()
    FlaskInstrumentor().instrument(excluded_urls="item")
    DjangoInstrumentor().instrument()
    monkeypatch.setattr(_DjangoMiddleware, "_excluded_urls", ExcludeList(["item"]))  # as by its variable

    shop.get("/item/7/")

    assert tracking.request().attributes[names.PATH] == "/item/7/"
    assert tracking.spans() == []  # and no trace of it is exported


def test_funnel_stages_are_reached_by_path_by_route_and_by_event(
    tracking: Tracking, start: Callable[..., None], shop: Shop, tmp_path: Any
) -> None:
    funnels = tmp_path / "funnels.toml"
    funnels.write_text(
        """
        [funnels.purchase]
        stages = [
          { name = "shop", paths = ["/"] },
          { name = "item", routes = ["/item/<int:number>/"] },
          { name = "asked", events = ["asked"] },
        ]
        """
    )
    start(funnels=str(funnels))
    browser = shop.browser()

    for path in ("/", "/item/7/", "/nowhere/", "/events/"):
        browser.get(path)

    stages = tracking.events("stage_reached")
    assert [event.attributes[names.STAGE] for event in stages] == ["shop", "item", "asked"]
    assert len({event.attributes[names.VISIT_KEY] for event in stages}) == 1
