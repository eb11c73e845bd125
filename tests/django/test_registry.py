"""`site`: the models with counters, and the counters that each has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

import otel_usage
import otel_usage.django
from otel_usage import attributes as names
from otel_usage.django import AlreadyRegistered, NotRegistered
from otel_usage.django.registry import CounterSite
from otel_usage.instrumentation import counter_rules
from tests.django.models import shop
from tests.tracking import Tracking


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, django_site: None) -> CounterSite:
    """A registry of the test's own, which increments obey."""
    site = CounterSite()
    monkeypatch.setattr(counter_rules, "_rules", [site.refuses])
    return site


def test_a_model_has_the_counters_that_it_is_registered_with(site: CounterSite) -> None:
    site.register(shop.Product, "clicks", "downloads")

    assert site.counters(shop.Product) == ("clicks", "downloads")
    assert site.counters(shop.Product(name="hat")) == ("clicks", "downloads")
    assert site.models() == [shop.Product]
    assert site.is_registered(shop.Product)
    assert not site.is_registered(shop.Document)


def test_several_models_may_share_their_counters(site: CounterSite) -> None:
    site.register([shop.Product, shop.Document], ["clicks", "downloads"], "likes")

    assert site.counters(shop.Product) == site.counters(shop.Document) == ("clicks", "downloads", "likes")


def test_a_model_without_names_has_the_default_counters(site: CounterSite) -> None:
    site.register(shop.Product)

    assert site.counters(shop.Product) == ("views", "clicks")


def test_a_site_may_have_default_counters_of_its_own() -> None:
    site = CounterSite(default_counters=["likes"])

    site.register(shop.Product)

    assert site.counters(shop.Product) == ("likes",)


def test_a_class_may_name_the_counters(site: CounterSite) -> None:
    class Downloads:
        counters = ("files", "bytes")

    site.register(shop.Product, "clicks", Downloads)

    assert site.counters(shop.Product) == ("clicks", "files", "bytes")
    assert site.get_parent(Downloads) is shop.Product
    assert site.get_parent("clicks") is shop.Product


def test_the_number_fields_of_an_old_data_class_are_its_counters(site: CounterSite) -> None:
    from django.db import models

    class OldData(models.Model):
        object_id: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
        collected_during: models.DateField[date, date] = models.DateField()
        hits: models.IntegerField[int, int] = models.IntegerField(default=0)
        seconds: models.FloatField[float, float] = models.FloatField(default=0)
        parent: models.ForeignKey[Any, Any] = models.ForeignKey(shop.Product, on_delete=models.CASCADE)

        class Meta:
            app_label = "otel_usage"
            abstract = False

    try:
        site.register(shop.Product, OldData)
    finally:
        del apps.all_models["otel_usage"]["olddata"]
        apps.clear_cache()

    assert site.counters(shop.Product) == ("hits", "seconds")


def test_registering_a_counter_again_is_refused_and_changes_nothing(site: CounterSite) -> None:
    site.register(shop.Product, "clicks")

    with pytest.raises(AlreadyRegistered, match=r"^shop\.Product has the counter 'clicks' already\. "):
        site.register([shop.Document, shop.Product], "clicks")

    assert site.models() == [shop.Product]


def test_another_app_may_add_counters_to_a_model(site: CounterSite) -> None:
    site.register(shop.Product, "clicks")
    site.register(shop.Product, "likes")

    assert site.counters(shop.Product) == ("clicks", "likes")


def test_a_proxy_has_the_counters_of_its_model(site: CounterSite) -> None:
    site.register(shop.Bargain, "clicks")

    assert site.counters(shop.Product) == ("clicks",)


def test_counters_are_taken_back_one_by_one_or_all_at_once(site: CounterSite) -> None:
    site.register([shop.Product, shop.Document], "clicks", "likes")

    site.unregister(shop.Product, "likes")
    site.unregister(shop.Document)

    assert site.counters(shop.Product) == ("clicks",)
    assert site.models() == [shop.Product]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda site: site.unregister(shop.Document), id="unregister"),
        pytest.param(lambda site: site.unregister(shop.Product, "likes"), id="unregister a counter"),
        pytest.param(lambda site: site.counters(shop.Document), id="counters"),
        pytest.param(lambda site: site.get_parent("likes"), id="get_parent"),
    ],
)
def test_what_is_not_registered_is_an_error(site: CounterSite, ask: Callable[[CounterSite], object]) -> None:
    site.register(shop.Product, "clicks")

    with pytest.raises(NotRegistered):
        ask(site)


@pytest.mark.parametrize("model", ["shop.Product", object(), int, None])
def test_only_a_model_can_be_registered(site: CounterSite, model: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="expected the class of a model"):
        site.register(model, "clicks")  # type: ignore[arg-type]


@pytest.mark.parametrize("counter", ["", "x" * 257, 5, [], [""], int])
def test_only_a_name_can_be_a_counter(site: CounterSite, counter: object) -> None:
    with pytest.raises(ImproperlyConfigured, match="names no counter"):
        site.register(shop.Product, counter)


def test_an_unknown_counter_of_a_registered_model_is_set_aside(tracking: Tracking, site: CounterSite) -> None:
    site.register(shop.Product, "clicks")
    tracking.start()

    otel_usage.increment(shop.Product(pk=1), "clicks")
    otel_usage.increment(shop.Bargain(pk=1), "clix")
    otel_usage.increment(("shop.Product", 1), "clix")

    assert len(tracking.events(names.COUNTER)) == 1
    assert tracking.accounting().rejected == {"unknown_counter": 2}


def test_a_model_that_is_not_registered_has_any_counter(tracking: Tracking, site: CounterSite) -> None:
    tracking.start()

    otel_usage.increment(shop.Document(), "anything")

    assert len(tracking.events(names.COUNTER)) == 1


def test_an_object_that_was_never_saved_is_set_aside(tracking: Tracking) -> None:
    tracking.start()

    otel_usage.increment(shop.Product(name="new"), "anything")

    assert tracking.accounting().rejected == {"no_object": 1}


def test_an_installed_app_registers_its_counters_by_itself(django_site: None) -> None:
    assert otel_usage.django.site.counters(shop.Link) == ("clicks", "downloads")


def write_app(root: Path, name: str, code: str) -> None:
    (root / name).mkdir()
    (root / name / "__init__.py").touch()
    (root / name / "usage.py").write_text(code)


@pytest.fixture
def discover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_site: None
) -> Callable[[dict[str, str]], None]:
    """Return a function that installs apps with these `usage` modules, and discovers them."""
    from otel_usage.django import registry

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "site", CounterSite())

    def discover(modules: dict[str, str]) -> None:
        from django.test import override_settings

        for name, code in modules.items():
            write_app(tmp_path, name, f"from otel_usage.django.registry import site\n{code}")
        with override_settings(INSTALLED_APPS=["tests.django.shop", *modules]):
            try:
                otel_usage.django.autodiscover()
            finally:
                for name in modules:
                    sys.modules.pop(f"{name}.usage", None)
                    sys.modules.pop(name, None)

    return discover


def test_a_module_that_fails_comes_out_and_leaves_the_registry_as_it_was(
    discover: Callable[[dict[str, str]], None],
) -> None:
    from otel_usage.django import registry

    product = "from tests.django.shop.models import Product\n"
    good = product + "site.register(Product, 'clicks')"
    bad = product + "site.register(Product, 'likes')\nraise LookupError('of the app')"

    with pytest.raises(LookupError, match="^of the app$"):
        discover({"usage_app_good": good, "usage_app_bad": bad})

    assert registry.site.counters(shop.Product) == ("clicks",)


def test_a_module_that_imports_what_is_not_there_comes_out(
    discover: Callable[[dict[str, str]], None],
) -> None:
    with pytest.raises(ImportError, match="nowhere_at_all"):
        discover({"usage_app_missing": "import nowhere_at_all"})
