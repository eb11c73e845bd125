"""`flask.g.track_var`: one property of the request's event, whatever the app puts into it."""

from __future__ import annotations

import enum
import json
import threading
from collections import OrderedDict, defaultdict, deque
from datetime import date, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import flask
import pytest
from flask import Flask

from otel_usage import attributes as names
from otel_usage.flask import TrackUsage
from otel_usage.flask.track_var import read_track_var, to_json
from tests.tracking import Tracking

PROPERTY = names.PROPERTY_PREFIX + "track_var"
UID = UUID(int=7)


class Color(enum.Enum):
    RED = "red"


class Hostile:
    """An object that raises whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("of the app")

    __repr__ = __str__

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("of the app")


class EndlessDict(dict[Any, Any]):
    """Changes each time that somebody walks over it."""

    def items(self) -> Any:
        for item in super().items():
            self[object()] = 1
            yield item


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({}, {}),
        ({"a": None, "b": True, "c": 1, "d": 1.5, "e": "ö"}, {"a": None, "b": True, "c": 1, "d": 1.5, "e": "ö"}),
        ({"a": [1, (2, {"b": {3}})]}, {"a": [1, [2, {"b": [3]}]]}),
        ({"a": UID, "b": Decimal("1.50"), "c": date(2018, 4, 15)}, {"a": str(UID), "b": "1.50", "c": "2018-04-15"}),
        ({"a": datetime(2018, 4, 15, 9, 30), "b": PurePosixPath("/a")}, {"a": "2018-04-15 09:30:00", "b": "/a"}),
        ({"a": b"caf\xc3\xa9", "b": b"\xff"}, {"a": "café", "b": "\ufffd"}),
        ({"a": Color.RED, "b": deque([1])}, {"a": "red", "b": [1]}),
        ({"a": float("nan"), "b": float("-inf")}, {"a": "nan", "b": "-inf"}),
        ({"a": object(), "b": Hostile(), "c": Flask}, {"a": "object", "b": "Hostile", "c": "type"}),
        ({1: "a", None: "b", Hostile(): "c"}, {"1": "a", "None": "b", "Hostile": "c"}),
        ({"a": "\ud800"}, {"a": "?"}),
        (OrderedDict(a=defaultdict(list, b=[1])), {"a": {"b": [1]}}),
    ],
)  # fmt: skip
def test_plain_values_stay_and_others_become_text(value: dict[Any, Any], kept: dict[str, Any]) -> None:
    copied = read_track_var(value)

    assert copied == kept
    assert json.loads(to_json(copied)) == kept


@pytest.mark.parametrize("value", [None, "text", 7, [1], {1, 2}, Hostile])
def test_what_is_no_dictionary_is_told_apart(value: object) -> None:
    assert read_track_var(value) is None


def cyclic() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    return circle


@pytest.mark.parametrize(
    "large",
    [
        "x" * 10_000_000,
        b"x" * 10_000_000,
        list(range(1_000_000)),
        {number: number for number in range(100_000)},
        {"a": {"b": ["x" * 40_000, "y" * 40_000]}},
        10**5000,
        cyclic(),
        EndlessDict(a=1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_too_large_is_left_out_and_named(large: object) -> None:
    copied = read_track_var({"before": 1, "large": large, "after": 2})

    assert copied == {"before": 1, "after": 2, "_truncated": ["large"]}


def test_what_storages_get_may_be_larger_than_what_is_stored() -> None:
    value = {"small": 1, "large": "x" * 3000, "more": "y" * 1000}

    copied = read_track_var(value)

    assert copied == value
    assert json.loads(to_json(copied)) == {"small": 1, "more": "y" * 1000, "_truncated": ["large"]}


@pytest.mark.parametrize("keys", [200, 300, 100_000])
@pytest.mark.parametrize("letter", ["k", "\x01", "ö"])
def test_any_number_of_keys_becomes_json_that_fits(keys: int, letter: str) -> None:
    copied = read_track_var({f"{letter * 200}{number}": number for number in range(keys)})

    assert copied is not None
    text = to_json(copied)
    assert len(text) <= names.MAX_TEXT
    assert json.loads(text)["_truncated"][-1] == "…"


def test_the_copy_shares_nothing_with_the_original() -> None:
    value: dict[str, Any] = {"a": [1, {"b": 2}]}

    copied = read_track_var(value)
    value["a"][1]["b"] = 3

    assert copied == {"a": [1, {"b": 2}]}


def test_a_dictionary_that_another_thread_changes_is_read_all_the_same() -> None:
    value: dict[str, int] = {"always": 1}
    is_over = threading.Event()

    def change() -> None:
        while not is_over.is_set():
            value["now"] = 1
            del value["now"]

    changer = threading.Thread(target=change)
    changer.start()
    try:
        copies = [read_track_var({"inner": value}) for _ in range(500)]
    finally:
        is_over.set()
        changer.join()

    assert all(copied in ({"inner": {"always": 1}}, {"inner": {"always": 1, "now": 1}}) for copied in copies)


@pytest.fixture
def stored() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def app(tracking: Tracking, stored: list[dict[str, Any]]) -> Flask:
    tracking.start()
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    app.testing = True
    TrackUsage(app, stored.append)
    return app


def test_what_the_app_says_is_one_property_and_reaches_the_storages(
    tracking: Tracking, app: Flask, stored: list[dict[str, Any]]
) -> None:
    @app.get("/")
    def home() -> str:
        flask.g.track_var["article"] = {"id": UID, "tags": ["a", "b"]}
        return "home"

    app.test_client().get("/")
    app.test_client().get("/nowhere")

    said = {"article": {"id": str(UID), "tags": ["a", "b"]}}
    first, second = tracking.events("request")
    assert json.loads(str(first.attributes[PROPERTY])) == said
    assert PROPERTY not in second.attributes
    assert [data["track_var"] for data in stored] == [said, {}]


@pytest.mark.parametrize("value", [None, "text", [1, 2], 7, object()])
def test_a_track_var_that_is_no_dictionary_is_left_out_and_logged(
    tracking: Tracking, app: Flask, stored: list[dict[str, Any]], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, value: object
) -> None:  # fmt: skip
    monkeypatch.setattr("otel_usage.flask.app_usage._misuse_log._next_at", float("-inf"))

    @app.get("/")
    def home() -> str:
        flask.g.track_var = value
        return "home"

    response = app.test_client().get("/")

    assert response.status_code == 200
    assert [data["track_var"] for data in stored] == [{}]
    assert PROPERTY not in tracking.request().attributes
    assert f"flask.g.track_var is a {type(value).__name__}, expected a dictionary" in caplog.text


def test_a_track_var_that_is_gone_or_hostile_hurts_nobody(
    tracking: Tracking, app: Flask, stored: list[dict[str, Any]]
) -> None:
    @app.get("/gone")
    def gone() -> str:
        del flask.g.track_var
        return "gone"

    @app.get("/hostile")
    def hostile() -> str:
        flask.g.track_var = EndlessDict(a=1)
        return "hostile"

    for path in ("/gone", "/hostile"):
        assert app.test_client().get(path).status_code == 200
    assert len(tracking.events("request")) == len(stored) == 2


def test_arguments_of_the_route_keep_their_types_and_objects_become_names(
    app: Flask, stored: list[dict[str, Any]]
) -> None:
    app.add_url_rule("/<uuid:uid>/<int:number>/<float:size>/<path:rest>", "item", lambda **given: "item")

    @app.url_value_preprocessor
    def load(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if values is not None:
            values.update(raw=b"\x00\xff", loaded=app, nothing=None)

    app.test_client().get(f"/{UID}/7/1.5/a/b")

    assert stored[0]["view_args"] == {
        "uid": UID, "number": 7, "size": 1.5, "rest": "a/b", "raw": b"\x00\xff", "loaded": "Flask", "nothing": None,
    }  # fmt: skip
