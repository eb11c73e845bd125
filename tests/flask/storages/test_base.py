"""The three verbs of a storage and its hooks, as Flask-Track-Usage documents them."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import pytest

from otel_usage.flask.storages import (
    OutputWriter,
    PrintWriter,
    Storage,
    Writer,
    sumBasic,
    sumBrowser,
    sumGeo,
    sumLanguage,
    sumRemote,
    sumServer,
    sumStatus,
    sumUrl,
    sumUserAgent,
    sumVisitor,
)

SUMMARIES = (
    sumBasic, sumBrowser, sumGeo, sumLanguage, sumRemote, sumServer, sumStatus, sumUrl, sumUserAgent, sumVisitor,
)  # fmt: skip


class Recorder(Writer):
    """Keeps what it is given, like a storage that an app wrote."""

    def set_up(self, name: str = "none", *, size: int = 0) -> None:
        self.name, self.size = name, size
        self.stored: list[dict[str, Any]] = []

    def store(self, data: dict[str, Any]) -> None:
        self.stored.append(data)


class Rows(Storage):
    """Answers with what it is made of."""

    def set_up(self, rows: Any) -> None:
        self.rows = rows
        self.asked: list[tuple[object, ...]] = []

    def _get_usage(
        self, start_date: datetime | None, end_date: datetime | None, limit: int, page: int
    ) -> list[dict[str, Any]]:
        self.asked.append((start_date, end_date, limit, page))
        return self.rows  # type: ignore[no-any-return]


class ClassHook:
    """A hook with all that Flask-Track-Usage's have."""

    def __init__(self, **kwargs: Any) -> None:
        self.made_with = kwargs

    def set_up(self, **kwargs: Any) -> None:
        self.set_up_with = kwargs

    def __call__(self, **data: Any) -> None:
        self.called_with = data

    def get_sum(self, **kwargs: Any) -> dict[str, Any]:
        return kwargs


class PlainHook:
    """A hook that takes nothing when it is made, and has no set_up."""

    calls: list[str] = []

    def __call__(self, **data: Any) -> None:
        self.calls.append(data["path"])


def test_the_constructor_calls_set_up_with_its_arguments() -> None:
    storage = Recorder("ours", size=3)

    assert (storage.name, storage.size) == ("ours", 3)


def test_a_call_stores_then_calls_the_hooks_and_returns_the_data() -> None:
    order: list[str] = []

    class Ordered(Writer):
        def store(self, data: dict[str, Any]) -> None:
            order.append("store")

    data = {"path": "/"}

    returned = Ordered(hooks=[lambda **data: order.append("hook")])(data)

    assert order == ["store", "hook"]
    assert returned is data


def test_a_storage_without_a_store_says_what_it_lacks() -> None:
    class Forgetful(Writer):
        pass

    with pytest.raises(NotImplementedError, match="Forgetful must have a method store"):
        Forgetful()({})


def test_hooks_may_be_functions_instances_and_classes() -> None:
    PlainHook.calls.clear()
    called: list[str] = []
    instance = ClassHook()

    def function(**data: Any) -> None:
        called.append(data["path"])

    storage = Recorder(hooks=[function, instance, ClassHook, PlainHook, PlainHook()])
    storage({"path": "/a"})

    made = storage._post_storage_hooks[2]
    assert isinstance(made, ClassHook)
    assert called == ["/a"]
    assert instance.called_with["path"] == made.called_with["path"] == "/a"
    assert PlainHook.calls == ["/a", "/a"]
    assert made.made_with["_parent_self"] is made.set_up_with["_parent_self"] is storage
    assert made.set_up_with["_parent_class_name"] == "Recorder"


def test_a_hook_is_told_its_storage_and_the_data_is_not() -> None:
    seen: list[Any] = []
    data = {"path": "/"}

    Recorder(hooks=[lambda **given: seen.append(given["_parent_class_name"])])(data)

    assert seen == ["Recorder"]
    assert data == {"path": "/"}


@pytest.mark.parametrize("error", [ValueError("of /secret"), SystemExit()])
def test_a_hook_that_raises_hurts_neither_the_storage_nor_another_hook(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    called: list[str] = []

    def failing(**data: Any) -> None:
        raise error

    storage = Recorder(hooks=[failing, lambda **data: called.append(data["path"])])
    with caplog.at_level(logging.DEBUG):
        storage({"path": "/secret"})
        storage({"path": "/secret"})

    assert called == ["/secret", "/secret"]
    assert len(storage.stored) == 2
    (record,) = caplog.records
    assert record.getMessage().startswith("The hook failing of the storage Recorder failed: ")
    assert "/secret" not in caplog.text


def test_no_hook_is_called_for_what_was_not_stored() -> None:
    called: list[str] = []

    class Failing(Writer):
        def store(self, data: dict[str, Any]) -> None:
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - that very one
        Failing(hooks=[lambda **data: called.append("hook")])({})

    assert called == []


def test_hooks_are_given_what_store_returns() -> None:
    seen: list[Any] = []

    class Documents(Writer):
        def store(self, data: dict[str, Any]) -> dict[str, Any]:
            return {**data, "document": 7}

    data = {"path": "/"}

    returned = Documents(hooks=[lambda **given: seen.append(given["document"])])(data)

    assert seen == [7]
    assert returned == {"path": "/"}


def test_what_cannot_be_called_is_no_hook() -> None:
    with pytest.raises(TypeError, match="A hook is a int, expected a function or an object with __call__"):
        Recorder(hooks=[3])


def test_a_storage_is_asked_with_the_old_arguments() -> None:
    storage = Rows([{"url": "/"}])
    day = datetime(2026, 3, 10)

    assert storage.get_usage(day, limit=10, page=2) == [{"url": "/"}]
    storage.get_usage()
    assert storage.asked == [(day, None, 10, 2), (None, None, 500, 1)]


@pytest.mark.parametrize("rows", [None, ({},), "rows", [{}, "row"], [None]])
def test_an_answer_that_is_no_list_of_dictionaries_is_refused(rows: Any) -> None:
    with pytest.raises(TypeError, match="_get_usage returned a"):
        Rows(rows).get_usage()


def test_sums_are_asked_of_the_hook_that_keeps_them_by_class_or_name() -> None:
    storage = Recorder(hooks=[ClassHook])

    by_class = storage.get_sum(ClassHook, limit=3, target="/a")
    by_name = storage.get_sum("ClassHook", limit=3, target="/a")

    assert by_class == by_name
    assert (by_class["limit"], by_class["target"], by_class["_parent_self"]) == (3, "/a", storage)


def test_asking_for_sums_that_nobody_keeps_never_answers_with_nothing() -> None:
    with pytest.raises(NotImplementedError, match='Cannot find hook named "sumUrl"'):
        Recorder(hooks=[PlainHook]).get_sum(sumUrl)


@pytest.mark.parametrize("hook", SUMMARIES)
@pytest.mark.parametrize("writer", [PrintWriter, OutputWriter])
def test_a_summary_on_a_storage_without_sums_is_refused_when_the_app_starts(
    writer: type[Writer], hook: type
) -> None:
    with pytest.raises(
        ImportError, match=f"the {writer.__name__} class does not currently support summarization"
    ):
        writer(hooks=[hook])


@pytest.mark.parametrize("hook", SUMMARIES)
def test_a_summary_that_is_no_hook_of_a_storage_is_refused(hook: type) -> None:
    with pytest.raises(
        NotImplementedError, match=f"{hook.__name__} can only be used as a Storage class hook"
    ):
        hook().set_up()
