"""The click-through view: counts, then sends on, whatever becomes of the count."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from otel_usage import attributes as names
from otel_usage.django.views import track_object, trackable_redirect
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from tests.django.models import shop
from tests.tracking import Tracking


@pytest.fixture
def link(site: None) -> Any:
    return shop.Link.objects.create(slug="docs", url="https://docs.example/start")


def clicks(tracking: Tracking) -> list[tuple[object, object]]:
    return [
        (event.attributes[names.COUNTER_NAME], event.attributes[names.COUNTER_VALUE])
        for event in tracking.events(names.COUNTER)
    ]


@pytest.mark.parametrize(
    ("path", "target", "counter"),
    [
        pytest.param("id/{pk}/", "https://docs.example/start", ("clicks", 1), id="url_field"),
        pytest.param("slug/docs/", "/link/docs/", ("downloads", 1), id="slug and get_absolute_url"),
        pytest.param("function/{pk}/", "/to/docs/3/", ("clicks", 3), id="redirect_func and options"),
        pytest.param("less/{pk}/", "/link/docs/", ("clicks", -1), id="another message_func"),
        pytest.param("class/{pk}/", "https://docs.example/start", ("clicks", 1), id="as a class"),
    ],
)
def test_a_click_is_counted_and_sent_on(
    tracking: Tracking, client: Client, link: Any, path: str, target: str, counter: tuple[str, int]
) -> None:
    tracking.start()

    response = client.get("/link/" + path.format(pk=link.pk))

    assert (response.status_code, response.headers["Location"]) == (302, target)
    assert response.headers["Cache-Control"] == "no-store"
    assert clicks(tracking) == [counter]


def test_a_script_gets_true(tracking: Tracking, client: Client, link: Any) -> None:
    tracking.start()

    response = client.get(f"/link/id/{link.pk}/", headers={"x-requested-with": "XMLHttpRequest"})

    assert (response.status_code, response.content) == (200, b"true")
    assert response.headers["Content-Type"] == "application/json"
    assert clicks(tracking) == [("clicks", 1)]


@pytest.mark.parametrize(
    "path", ["id/999/", "id/no-number/", "id/" + "9" * 50 + "/", "slug/nowhere/", "class/999/"]
)
def test_what_is_not_there_is_a_404_and_no_click(
    tracking: Tracking, client: Client, link: Any, path: str
) -> None:
    tracking.start()

    assert client.get(f"/link/{path}").status_code == 404
    assert clicks(tracking) == []


def test_an_empty_url_falls_back_to_the_objects_own(tracking: Tracking, client: Client) -> None:
    tracking.start()
    link = shop.Link.objects.create(slug="empty", url="")

    assert client.get(f"/link/id/{link.pk}/").headers["Location"] == "/link/empty/"


def test_a_page_that_is_fetched_in_advance_is_no_click_yet(
    tracking: Tracking, client: Client, link: Any
) -> None:
    tracking.start()

    response = client.get(f"/link/id/{link.pk}/", headers={"sec-purpose": "prefetch;prerender"})
    assert response.status_code == 302
    assert clicks(tracking) == []

    client.get(f"/link/id/{link.pk}/")
    assert clicks(tracking) == [("clicks", 1)]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,hello"])
def test_a_target_that_is_no_page_is_refused_and_not_counted(
    tracking: Tracking, client: Client, url: str
) -> None:
    tracking.start()
    link = shop.Link.objects.create(slug="odd", url=url)

    assert client.get(f"/link/id/{link.pk}/").status_code == 400
    assert clicks(tracking) == []


def test_the_request_has_no_say_in_where_it_leads(tracking: Tracking, client: Client, link: Any) -> None:
    tracking.start()

    response = client.get(
        f"/link/id/{link.pk}/?next=https://evil.example/&url=https://evil.example/&url_field=slug",
        headers={"referer": "https://evil.example/"},
    )

    assert response.headers["Location"] == "https://docs.example/start"


def test_neither_id_nor_slug_is_a_mistake_of_the_site(django_site: None) -> None:
    with pytest.raises(ImproperlyConfigured, match="needs the object_id or the slug"):
        track_object(RequestFactory().get("/"), shop.Link.objects.all())


def test_nowhere_to_go_is_a_mistake_of_the_site_and_no_click(tracking: Tracking) -> None:
    tracking.start()
    document = shop.Document.objects.create(title="a")

    with pytest.raises(ImproperlyConfigured, match=r"does not know where shop\.Document leads"):
        track_object(RequestFactory().get("/"), shop.Document.objects.all(), object_id=document.pk)
    assert clicks(tracking) == []


def test_a_key_of_any_type_is_found(tracking: Tracking) -> None:
    tracking.start()
    document = shop.Document.objects.create(title="a")

    response = track_object(
        RequestFactory().get("/"),
        shop.Document.objects.all(),
        object_id=str(document.pk),
        redirect_func=lambda found, options: f"/{found.title}/",
    )

    assert response.headers["Location"] == "/a/"
    assert tracking.events(names.COUNTER)[0].attributes[names.OBJECT_ID] == str(document.pk)


def test_the_old_name_warns_and_does_the_same(tracking: Tracking, link: Any) -> None:
    tracking.start()

    with pytest.warns(DeprecationWarning, match="is called otel_usage.django.views.track_object now"):
        response = trackable_redirect(
            RequestFactory().get("/"), shop.Link.objects.all(), url_field="url", object_id=link.pk
        )

    assert response.headers["Location"] == "https://docs.example/start"
    assert clicks(tracking) == [("clicks", 1)]


def test_a_counting_function_that_fails_does_not_stop_the_visitor(
    tracking: Tracking, client: Client, link: Any
) -> None:
    tracking.start()

    assert client.get(f"/link/broken/{link.pk}/").status_code == 302


@pytest.mark.parametrize("part", ["record_counter", "record_custom_event", "whole_number", "current_request"])
def test_the_visitor_arrives_when_tracking_fails(
    tracking: Tracking, client: Client, link: Any, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("of ours")

    tracking.start()
    monkeypatch.setattr(f"otel_usage.django.messages.{part}", broken)

    assert client.get(f"/link/id/{link.pk}/").headers["Location"] == "https://docs.example/start"


@pytest.mark.parametrize("state", ["never configured", "disabled"])
def test_the_visitor_arrives_when_nothing_is_tracked(
    tracking: Tracking, client: Client, link: Any, state: str
) -> None:
    if state == "disabled":
        tracking.configure(disabled=True)
    else:
        tracking.set_up_sdk()

    assert client.get(f"/link/id/{link.pk}/").headers["Location"] == "https://docs.example/start"


def test_the_visitor_arrives_at_once_when_clickhouse_is_gone(
    tracking: Tracking, client: Client, link: Any
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # takes connections, and never answers
        dsn = f"http://127.0.0.1:{silent.getsockname()[1]}/otel_usage"
        tracking.exporter = ClickHouseSpanExporter(dsn)  # type: ignore[assignment]
        tracking.start()

        responses = [client.get(f"/link/id/{link.pk}/") for _ in range(20)]

        assert {response.headers["Location"] for response in responses} == {"https://docs.example/start"}
        assert tracking.processor.accounting().waiting == 40


def test_the_view_asks_the_database_for_the_object_alone(
    tracking: Tracking, client: Client, link: Any
) -> None:
    tracking.start()
    client.get(f"/link/id/{link.pk}/")

    with CaptureQueriesContext(connection) as queries:
        client.get(f"/link/id/{link.pk}/")

    assert len(queries) == 1
