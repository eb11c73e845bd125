"""The forms by which a page of the admin site is narrowed down; what they let through, ClickHouse can be asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.http import QueryDict

from otel_usage import attributes as names

DEFAULT_DAYS = 30
"""What a page shows when nobody named a day: reading all of history for a first look would be slow."""

_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2149, 6, 5)
"""What ClickHouse's Date can hold."""

_BOTS = (
    ("", "with robots"),
    ("no", "without robots"),
    ("only", "robots alone"),
)

_SESSION_EVENTS = (
    ("", "all"),
    (names.LOGIN, "login"),
    (names.LOGIN_FAILED, "failed login"),
    (names.LOGOUT, "logout"),
    (names.SESSION_ENDED, "session ended"),
)


def _text(label: str, **options: Any) -> forms.CharField:
    # Not stripped: an id may begin with a space.
    return forms.CharField(label=label, required=False, max_length=names.MAX_NAME, strip=False, **options)


def _hex(label: str, digits: int, problem: str) -> forms.CharField:
    return _text(label, validators=[RegexValidator(re.compile(rf"[0-9a-f]{{{digits}}}\Z"), problem)])


def _day(label: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": "Enter a day such as 2026-11-30."},
        validators=[MinValueValidator(_FIRST_DAY), MaxValueValidator(_LAST_DAY)],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )


class DaysForm(forms.Form):
    """The days of a page, in UTC, both included. Without a first day, it begins 30 days ago.

    Not part of it, but of the links of a page, is the place at which the page begins.
    """

    since = _day("From (UTC)")
    until = _day("To (UTC)")

    def __init__(self, query: QueryDict, *, today: date) -> None:
        given = {name: query.get(name, "") for name in self.base_fields}
        # Filled in and not only meant, so that the page says which days it shows.
        given["since"] = given["since"] or (today - timedelta(days=DEFAULT_DAYS - 1)).isoformat()
        super().__init__(given, auto_id="filter_%s")
        self._given = given
        self.today = today

    def clean(self) -> dict[str, Any]:
        """Refuse days in the wrong order."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since is not None and until is not None and since > until:
            raise ValidationError(
                "The first day, %(since)s, comes after the last one, %(until)s.",
                params={"since": since, "until": until},
            )
        return cleaned

    @property
    def first_day(self) -> date:
        """The first day that counts."""
        first: date = self.cleaned_data["since"]
        return first

    @property
    def end_day(self) -> date:
        """The day after the last one that counts."""
        until: date | None = self.cleaned_data["until"]
        return (until or _LAST_DAY) + timedelta(days=1)

    @property
    def start(self) -> datetime:
        """The beginning of the first day."""
        return datetime.combine(self.first_day, time(), timezone.utc)

    @property
    def end(self) -> datetime:
        """The end of the last day."""
        return datetime.combine(self.end_day, time(), timezone.utc)

    @property
    def query(self) -> Mapping[str, str]:
        """What a link of the page carries on: all that is filled in."""
        return {name: value for name, value in self._given.items() if value}

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the days is filled in."""
        return bool(self.query.keys() - {"since", "until"})


class EventFilterForm(DaysForm):
    """Who did it, and whether robots are shown."""

    user = _text("User id")
    visit = _hex("Visit", 32, "Enter the 32 digits (0-9, a-f) of a visit key.")
    address = forms.GenericIPAddressField(label="Address", required=False, unpack_ipv4=True)
    bots = forms.ChoiceField(label="Robots", required=False, choices=_BOTS)

    IS_BOT: ClassVar[Mapping[str, bool | None]] = {"": None, "no": False, "only": True}


class SessionFilterForm(EventFilterForm):
    """Which session, and what happened to it."""

    event = forms.ChoiceField(label="What happened", required=False, choices=_SESSION_EVENTS)
    session = _hex("Session", 64, "Enter the 64 digits (0-9, a-f) of a session's name.")

    field_order = ("event", "session")


class ObjectFilterForm(EventFilterForm):
    """Which object was viewed, and by whom."""

    object_type = _text("Type", widget=forms.TextInput(attrs={"placeholder": "shop.Product"}))
    object_id = _text("Object id")

    field_order = ("object_type", "object_id")


class CounterFilterForm(DaysForm):
    """Which counters of which objects."""

    object_type = _text("Type", widget=forms.TextInput(attrs={"placeholder": "shop.Product"}))
    object_id = _text("Object id")
    counter = _text("Counter")

    field_order = ("object_type", "object_id", "counter")
