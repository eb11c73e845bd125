"""Views of a model, objects of a user, most viewed objects: from ClickHouse, page by page."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from otel_usage.clickhouse import ClickHouse
from otel_usage.django.queries import (
    ObjectViewed,
    most_viewed,
    objects_viewed,
    objects_viewed_by,
    views_of,
)
from otel_usage.model import Event
from tests.builders import build_event, insert_events
from tests.tracking import Tracking


@pytest.fixture(autouse=True)
def _asked(tracking: Tracking, usage: ClickHouse) -> None:
    tracking.configure(dsn=usage.dsn.masked)


def model(name: str) -> Any:
    return apps.get_model("shop", name)


def products(*names: str) -> list[Any]:
    return [model("Product").objects.create(name=name) for name in names]


def view(thing: Any, minute: int, user: str = "", **columns: Any) -> Event:
    """Return the event of a view at that minute past noon."""
    return build_event(
        "object_viewed",
        f"2026-03-10T12:{minute:02}:00",
        object_type=thing._meta.label,
        object_id=str(thing.pk),
        user_id=user,
        **columns,
    )


def test_the_views_of_a_model_come_newest_first_with_who_and_where_from(usage: ClickHouse) -> None:
    lamp, chair = products("Lamp", "Chair")
    manual = model("Document").objects.create(title="Manual")
    insert_events(usage, [view(lamp, 1, "7", visit="a"), view(chair, 2, client_address=""), view(manual, 3)])

    newest, oldest = views_of(model("Product"))

    assert (newest.object_id, newest.user_id, newest.ip_address) == (str(chair.pk), "", None)
    assert (oldest.user_id, oldest.ip_address, len(oldest.visit_key)) == ("7", "192.0.2.1", 32)
    assert oldest.timestamp == datetime(2026, 3, 10, 12, 1, tzinfo=timezone.utc)
    assert str(oldest) == f"shop.Product {lamp.pk} viewed on 2026-03-10 12:01:00+00:00"


def test_pages_of_views_neither_repeat_nor_skip_one_also_at_equal_times(usage: ClickHouse) -> None:
    (lamp,) = products("Lamp")
    insert_events(usage, [view(lamp, number // 4) for number in range(10)])
    seen = []

    after = ""
    while True:
        page = views_of(model("Product"), after=after, limit=3)
        seen += [row.event_id for row in page]
        insert_events(usage, [view(lamp, 30)])  # arrives meanwhile
        after = page.after
        if not after:
            break

    assert len(seen) == len(set(seen)) == 10


def test_views_can_be_asked_for_by_object_user_and_time(usage: ClickHouse) -> None:
    lamp, chair = products("Lamp", "Chair")
    insert_events(usage, [view(lamp, 1, "7"), view(lamp, 2, "8"), view(chair, 3, "7")])
    noon = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)

    def minutes(**choice: Any) -> list[int]:
        return [row.timestamp.minute for row in views_of(model("Product"), **choice)]

    assert minutes(object_id=lamp.pk) == [2, 1]
    assert minutes(user="7") == [3, 1]
    assert minutes(since=noon.replace(minute=2)) == [3, 2]
    assert minutes(until=noon.replace(minute=2)) == [1]
    assert minutes(user="7' OR 1=1 --") == []


def test_a_view_leads_to_its_object_and_to_nothing_when_that_is_gone(usage: ClickHouse) -> None:
    (lamp,) = products("Lamp")
    insert_events(usage, [view(lamp, 1)])
    (row,) = views_of(model("Product"))
    found = row.content_object

    lamp.delete()

    assert found is not None
    assert row.content_object is None


def test_a_user_viewed_each_object_once_the_last_first(usage: ClickHouse) -> None:
    lamp, chair, _ = products("Lamp", "Chair", "Table")
    ann = get_user_model()._default_manager.create(username="ann")
    name = str(ann.pk)
    insert_events(
        usage, [view(lamp, 1, name), view(chair, 2, name), view(lamp, 3, name), view(chair, 9, "x")]
    )

    with CaptureQueriesContext(connection) as queries:
        page = objects_viewed_by(ann, model("Product"))

    assert page.rows == [lamp, chair]
    assert len(queries) == 1


def test_a_page_of_objects_loads_its_own_objects_only(usage: ClickHouse) -> None:
    things = products(*"abcdefg")
    insert_events(usage, [view(thing, minute) for minute, thing in enumerate(things)])

    first = objects_viewed(model("Product"), limit=3)
    with CaptureQueriesContext(connection) as queries:
        second = objects_viewed(model("Product"), limit=3, after=first.after)

    assert [thing.name for thing in first] == ["g", "f", "e"]
    assert [thing.name for thing in second] == ["d", "c", "b"]
    assert queries[0]["sql"].count(",") < 10
    assert len(queries) == 1


def test_nobody_has_viewed_nothing(usage: ClickHouse) -> None:
    from django.contrib.auth.models import AnonymousUser

    insert_events(usage, [view(products("Lamp")[0], 1)])

    assert objects_viewed_by(AnonymousUser(), model("Product")).rows == []
    assert list(ObjectViewed.objects.by_user(AnonymousUser()).by_model(model("Product"))) == []


def test_objects_that_are_gone_and_keys_that_are_none_are_left_out(usage: ClickHouse) -> None:
    lamp, chair = products("Lamp", "Chair")
    stray = build_event("object_viewed", object_type="shop.Product", object_id="no-number")
    insert_events(usage, [view(lamp, 1), view(chair, 2), stray])
    chair.delete()

    assert objects_viewed(model("Product")).rows == [lamp]
    assert [row.instance for row in most_viewed(model("Product"))] == [lamp]


def test_keys_may_be_uuids(usage: ClickHouse) -> None:
    manual = model("Document").objects.create(id=uuid.uuid4(), title="Manual")
    insert_events(usage, [view(manual, 1), view(manual, 2)])

    assert objects_viewed(model("Document")).rows == [manual]
    assert most_viewed(model("Document"))[0].views == 2


def test_the_most_viewed_come_with_their_figures(usage: ClickHouse) -> None:
    lamp, chair = products("Lamp", "Chair")
    insert_events(
        usage,
        [
            view(lamp, 1, visit="a"),
            view(chair, 2, "7", visit="a"),
            view(chair, 3, visit="b"),
            view(chair, 4, is_bot=True),
        ],
    )

    first, second = most_viewed(model("Product"))

    assert (first.instance, first.views, first.bot_views, first.visits, first.users) == (chair, 3, 1, 2, 1)
    assert (second.instance, second.views) == (lamp, 1)
    assert most_viewed(model("Product"), limit=1) == [first]


def test_the_calls_of_the_tutorial_answer(usage: ClickHouse) -> None:
    lamp, chair = products("Lamp", "Chair")
    insert_events(usage, [view(lamp, minute, "7") for minute in range(3)] + [view(chair, 9)])
    product = model("Product")

    assert [row.object_id for row in ObjectViewed.objects.by_model(product)][0] == str(chair.pk)
    assert list(ObjectViewed.objects.by_model(product, model_queryset=True)) == [chair, lamp]
    assert list(ObjectViewed.objects.by_user("7").by_model(product, model_queryset=True)) == [lamp]
    assert [row.timestamp.minute for row in ObjectViewed.objects.by_model(product)[1:3]] == [2, 1]
    assert ObjectViewed.objects.by_model(product, model_queryset=True).first() == chair


@pytest.mark.parametrize("after", ["x", "-", "12", "1e9-x", "9" * 30 + "-"])
def test_a_page_that_nobody_gave_is_refused(after: str) -> None:
    with pytest.raises(ValueError, match="expected what the page before has"):
        views_of(model("Product"), after=after)


def test_a_bare_number_is_no_slice(usage: ClickHouse) -> None:
    with pytest.raises(TypeError, match="expected a slice with an end"):
        ObjectViewed.objects.by_model(model("Product"))[0]  # type: ignore[index]


def test_deleting_a_user_deletes_no_view(usage: ClickHouse, client: Client) -> None:
    (lamp,) = products("Lamp")
    ann = get_user_model()._default_manager.create(username="ann")
    insert_events(usage, [view(lamp, 1, str(ann.pk))])
    key = str(ann.pk)

    ann.delete()

    assert objects_viewed_by(key, model("Product")).rows == [lamp]
