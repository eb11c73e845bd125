"""Questions about viewed objects, answered by ClickHouse; no answer loads more than its page.

They open a connection (see `reports.connection`), and raise what it raises: `SettingError` without `OTEL_USAGE_DSN`, and
`ClickHouseError` when ClickHouse cannot answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, Generic, TypeVar

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Model

from otel_usage import attributes as names
from otel_usage.instrumentation.api import object_type_of
from otel_usage.reports import ReportParameters, load_sql, run_report
from otel_usage.reports.connection import usage_client
from otel_usage.reports.event_page import EventFilter, ListedEvent, Place, read_event_page

PAGE_SIZE = 100

_Row = TypeVar("_Row")
_Model = TypeVar("_Model", bound=Model)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_END = datetime(2262, 1, 1, tzinfo=timezone.utc)
"""What ClickHouse's DateTime64(9) can hold."""
_LAST_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[_Row]):
    """A part of a long answer."""

    rows: list[_Row]
    after: str
    """What to ask with for the rest; empty when there is none."""

    def __iter__(self) -> Iterator[_Row]:
        """Iterate over the rows."""
        return iter(self.rows)


@dataclass(frozen=True, slots=True)
class ObjectViewed:
    """One view of one object: a row of `events`, with the names of the tutorial's model."""

    timestamp: datetime
    """Aware, UTC, cut to microseconds."""
    object_type: str
    """Such as `shop.Product`."""
    object_id: str
    user_id: str
    """Empty for who was not signed in."""
    visit_key: str
    """32 hex digits; empty for who was not followed."""
    ip_address: str | None
    user_agent: str
    path: str
    referrer: str
    is_bot: bool
    service_name: str
    event_id: str

    objects: ClassVar[ObjectViews]

    def __str__(self) -> str:
        """Return what was viewed and when."""
        return f"{self.object_type} {self.object_id} viewed on {self.timestamp}"

    @property
    def content_object(self) -> Model | None:
        """The object, loaded by one query; None when it is gone or its type is no model of this site."""
        try:
            model = apps.get_model(self.object_type)
        except (LookupError, ValueError):
            return None
        return load_instances(model, [self.object_id]).get(self.object_id)


@dataclass(frozen=True, slots=True)
class MostViewed(Generic[_Model]):
    """An object with its figures."""

    instance: _Model
    views: int
    bot_views: int
    """How many of the views were robots'."""
    visits: int
    """Distinct, about 0.9 % error, as are the users."""
    users: int


def views_of(
    model: type[Model],
    *,
    object_id: object = None,
    user: object = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str = "",
    limit: int = PAGE_SIZE,
) -> Page[ObjectViewed]:
    """Return the views of a model's objects, newest first.

    Args:
        model: class of the objects.
        object_id: the key of one object.
        user: one user, or the user's key.
        since: aware; the first moment that counts.
        until: aware; the first moment that counts no more.
        after: `after` of the page before.
        limit: most rows of the page.

    Raises:
        ValueError: `after` is none that a page gave.
    """
    wanted = EventFilter(
        event_names=(names.OBJECT_VIEWED,),
        since=since or _EPOCH,
        until=until or _END,
        object_type=object_type_of(model),
        object_id="" if object_id is None else str(object_id),
        user_id="" if user is None else _user_id(user),
    )
    try:
        before = Place.parse(after) if after else None
    except ValueError:
        raise _not_a_place(after) from None
    page = read_event_page(usage_client(), wanted, size=limit, before=before)
    return Page([_to_view(event) for event in page.events], str(page.older) if page.older else "")


def objects_viewed(
    model: type[_Model],
    *,
    user: object = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str = "",
    limit: int = PAGE_SIZE,
) -> Page[_Model]:
    """Return the objects of a model that were viewed, each once, the last viewed first.

    They are loaded by one query for the page. Those that have been deleted are left out, so that a page may have
    fewer than `limit`.

    Args:
        model: class of the objects.
        user: by whom, a user or the user's key; None for anybody.
        since: aware; the first moment that counts.
        until: aware; the first moment that counts no more.
        after: `after` of the page before.
        limit: most objects of the page.

    Raises:
        ValueError: `after` is none that a page gave.
    """
    last_viewed_ns, object_id = _read_place(after)
    parameters = {
        **_choice(model, user, since, until),
        "before_ns": last_viewed_ns,
        "before_id": object_id,
        "limit": limit + 1,
    }
    rows = usage_client().query(load_sql("objects_viewed"), parameters).rows
    found = load_instances(model, [row[0] for row in rows[:limit]])
    page = _page(rows, [(last_viewed_ns, object_id) for object_id, last_viewed_ns, _ in rows], limit)
    return Page([found[row[0]] for row in page if row[0] in found], page.after)


def objects_viewed_by(user: object, model: type[_Model], **choice: Any) -> Page[_Model]:
    """Return what a user viewed, each object once, the last viewed first: `objects_viewed` with the user in front.

    Nobody's, for a user who is not signed in.
    """
    if not _user_id(user):
        return Page([], "")
    return objects_viewed(model, user=user, **choice)


def most_viewed(
    model: type[_Model], *, since: datetime | None = None, until: datetime | None = None, limit: int = 10
) -> list[MostViewed[_Model]]:
    """Return the objects of a model with the most views, the most viewed first.

    Whole days in UTC, as the report `objects` has them. Objects that have been deleted are left out.

    Args:
        model: class of the objects.
        since: aware; its whole day counts. None for all days.
        until: aware; its whole day counts, unless it is the very beginning.
        limit: most objects.
    """
    parameters = ReportParameters(
        since or _EPOCH, until or _END, object_type=object_type_of(model), limit=limit
    )
    rows = run_report(usage_client(), "objects", parameters).rows
    found = load_instances(model, [object_id for _, object_id, *_ in rows])
    return [
        MostViewed(found[object_id], views, bot_views, visits, users)
        for _, object_id, views, visits, users, bot_views in rows
        if object_id in found
    ]


def load_instances(model: type[_Model], ids: Sequence[str]) -> dict[str, _Model]:
    """Return the instances that there are by their ids as events have them, by one query."""
    keys = {}
    for object_id in ids:
        try:
            keys[model._meta.pk.to_python(object_id)] = object_id
        except (ValidationError, ValueError, TypeError):
            continue  # recorded under a type that has had other keys
    if not keys:
        return {}
    return {
        keys[instance.pk]: instance
        for instance in model._default_manager.filter(pk__in=keys)
        if instance.pk in keys
    }


class ObjectViews:
    """What `ObjectViewed.objects` offers: the calls of the tutorial's manager."""

    def __init__(self, user_id: str | None = None) -> None:
        self._user_id = user_id

    def by_user(self, user: object) -> ObjectViews:
        """Return the views of one user; none for one who is not signed in."""
        return ObjectViews(_user_id(user))

    def by_model(self, model: type[_Model], model_queryset: bool = False) -> Pages[Any]:
        """Return the views of a model, newest first, or its viewed objects.

        Args:
            model: class of the objects.
            model_queryset: return the objects themselves instead, each once, the last viewed first.
        """
        if self._user_id == "":
            return Pages(lambda after, limit: Page([], ""))
        ask: Callable[..., Page[Any]] = objects_viewed if model_queryset else views_of
        return Pages(lambda after, limit: ask(model, user=self._user_id, after=after, limit=limit))


class Pages(Generic[_Row]):
    """A long answer that is asked for page by page, while somebody iterates over it or takes a slice.

    It is no queryset: `answer[:20]`, `for row in answer` and `answer.first()` are all there is.
    """

    def __init__(self, ask: Callable[[str, int], Page[_Row]]) -> None:
        self._ask = ask

    def __iter__(self) -> Iterator[_Row]:
        """Iterate over all rows; holds one page of them."""
        return self._rows(PAGE_SIZE)

    def __getitem__(self, part: slice) -> list[_Row]:
        """Return the rows of a slice, from 0 or a positive number to a positive one."""
        if getattr(part, "stop", None) is None:
            raise TypeError(f"{part!r} cannot be asked for, expected a slice with an end, such as [:20]")
        return list(itertools.islice(self._rows(min(part.stop, PAGE_SIZE)), part.start, part.stop, part.step))

    def first(self) -> _Row | None:
        """Return the first row, None when there is none."""
        return next(self._rows(1), None)

    def _rows(self, page_size: int) -> Iterator[_Row]:
        after = ""
        while True:
            page = self._ask(after, max(page_size, 1))
            yield from page
            if not page.after:
                return
            after = page.after


ObjectViewed.objects = ObjectViews()


def _choice(
    model: type[Model], user: object, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    return {
        "object_type": object_type_of(model),
        "user_id": "" if user is None else _user_id(user),
        "service": "",
        "since": _utc_text(since or _EPOCH),
        "until": _utc_text(until or _END),
    }


def _user_id(user: object) -> str:
    key = user.pk if hasattr(user, "pk") else user
    return "" if key is None else str(key)


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")


def _page(rows: list[Any], places: list[tuple[int, str]], limit: int) -> Page[Any]:
    after = f"{places[limit - 1][0]}-{places[limit - 1][1]}" if len(rows) > limit else ""
    return Page(rows[:limit], after)


def _read_place(after: str) -> tuple[int, str]:
    time_ns, dash, id_ = after.partition("-")
    if not after:
        return _LAST_NS, ""
    if not (dash and time_ns.isdecimal() and len(time_ns) <= len(str(_LAST_NS))):
        raise _not_a_place(after)
    return min(int(time_ns), _LAST_NS), id_


def _not_a_place(after: str) -> ValueError:
    return ValueError(f"after={after[:100]!r}, expected what the page before has as its `after`")


def _to_view(event: ListedEvent) -> ObjectViewed:
    return ObjectViewed(
        timestamp=_EPOCH + timedelta(microseconds=event.time_ns // 1000),
        object_type=event.object_type,
        object_id=event.object_id,
        user_id=event.user_id,
        visit_key=event.visit_key,
        ip_address=event.client_address or None,
        user_agent=event.user_agent,
        path=event.path,
        referrer=event.referrer,
        is_bot=bool(event.is_bot),
        service_name=event.service_name,
        event_id=event.event_id,
    )
