"""The examples of the page about counters run in a site."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.django.registry import CounterSite
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from tests.django.models import shop
from tests.docs_tables import DOCS
from tests.serving import ServeProcess
from tests.tracking import Tracking

BLOCKS = re.findall(
    r"^```py\n(.*?)^```$", (DOCS / "counters.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)


def test_the_examples_of_the_page_do_what_it_says(
    tracking: Tracking, serve: ServeProcess, usage: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, registering, asking, leading = BLOCKS
    dsn = serve.dsn_of(usage.dsn.database)
    tracking.exporter = ClickHouseSpanExporter(dsn)  # type: ignore[assignment]
    tracking.start(dsn=dsn)
    site = CounterSite()
    monkeypatch.setattr("otel_usage.django.site", site, raising=False)
    models = SimpleNamespace(Link=shop.Link, Article=shop.Document)
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.models", models)
    given = {"Link": shop.Link, "link": shop.Link.objects.create(slug="a", url="/to/")}

    exec(counting, dict(given))
    exec(registering, dict(given))
    assert tracking.processor.force_flush(30_000)
    asked = dict(given)
    exec(asking, asked)
    urls = dict(given)
    exec(leading, urls)

    assert site.counters(shop.Link) == ("clicks", "downloads")
    assert asked["counters_for"](given["link"]) == {"clicks": 0, "downloads": 5}
    assert [pattern.pattern._route for pattern in urls["urlpatterns"]] == [
        "go/<int:object_id>/",
        "out/<slug:slug>/",
    ]
