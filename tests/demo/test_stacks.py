"""Which framework and server the options of the demo ask for, and how that framework writes a route."""

from __future__ import annotations

import pytest

from otel_usage.demo.simulator import DEFAULT_SEED, plan_visitors
from otel_usage.demo.stacks import DJANGO, DJANGO_ASGI, FLASK, Stack, find_stack
from otel_usage.demo.truth import measure


@pytest.mark.parametrize(
    ("framework", "is_asgi", "stack"),
    [
        (None, False, FLASK),
        ("flask", False, FLASK),
        ("django", False, DJANGO),
        ("django", True, DJANGO_ASGI),
        (None, True, DJANGO_ASGI),
    ],
)
def test_the_options_name_a_stack(framework: str | None, is_asgi: bool, stack: Stack) -> None:
    assert find_stack(framework, is_asgi=is_asgi) is stack


def test_flask_by_asgi_is_refused_with_what_would_do() -> None:
    with pytest.raises(ValueError, match="Expected --asgi alone, or with --framework django"):
        find_stack("flask", is_asgi=True)


@pytest.mark.parametrize(
    ("planned", "written"),
    [("/", "/"), ("/cart/add", "cart/add"), ("/order/<int:number>", "order/<int:number>"), ("", "")],
)
def test_django_writes_routes_without_the_first_slash(planned: str, written: str) -> None:
    assert DJANGO.route(planned) == DJANGO_ASGI.route(planned) == written
    assert FLASK.route(planned) == planned


def test_two_routes_of_the_plan_never_become_one() -> None:
    visitors = plan_visitors(DEFAULT_SEED, 600)
    planned = measure(visitors).requests_by_route

    written = measure(visitors, write_route=DJANGO.route).requests_by_route

    assert sorted(written.values()) == sorted(planned.values())
