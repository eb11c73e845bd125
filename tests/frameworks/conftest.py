from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import override_settings
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

from tests.frameworks.shops import DJANGO_URLS, SHOPS, Shop
from tests.tracking import Tracking, clean_process


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    with clean_process(monkeypatch):
        yield Tracking(monkeypatch)


@pytest.fixture(params=SHOPS, ids=[shop.name for shop in SHOPS])
def shop(request: pytest.FixtureRequest, django_site: None) -> Iterator[Shop]:
    """The shop in each framework, under each kind of server."""
    with override_settings(ROOT_URLCONF=DJANGO_URLS):
        yield request.param


def instrument_contrib() -> None:
    FlaskInstrumentor().instrument()
    DjangoInstrumentor().instrument()


@pytest.fixture(params=["with contrib", "without contrib", "contrib, trace not sampled"])
def start(request: pytest.FixtureRequest, tracking: Tracking) -> Callable[..., None]:
    """Start tracking in each of three ways; what a test promises holds in all of them."""

    def start(**settings: Any) -> None:
        sampler: Sampler | None = ALWAYS_OFF if "not sampled" in request.param else None
        tracking.start(sampler, **settings)
        if request.param != "without contrib":
            instrument_contrib()

    return start
