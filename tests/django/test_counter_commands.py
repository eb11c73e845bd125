"""`manage.py fold_trackable_messages` and `manage.py generate_csv`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

import otel_usage
from otel_usage.clickhouse import ClickHouse
from otel_usage.django import site
from otel_usage.errors import DeliveryError
from tests.builders import build_event, insert_events
from tests.django.models import shop
from tests.recording import RecordingExporter
from tests.serving import ServeProcess
from tests.tracking import Tracking


def run(*arguments: str, **options: Any) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output, stderr=output, **options)
    return output.getvalue()


@pytest.mark.parametrize("command", ["fold_trackable_messages", "generate_csv"])
@pytest.mark.parametrize(
    ("label", "error"),
    [
        pytest.param("Link", "'Link' is no model, expected app.Model such as shop.Product", id="no app"),
        pytest.param("a.b.c", "'a.b.c' is no model, expected app.Model such as shop.Product", id="too long"),
        pytest.param("shop.Lnk", "Unknown model: shop.Lnk. Registered are: shop.Link", id="unknown"),
        pytest.param("shp.Link", "Unknown model: shp.Link. Registered are: shop.Link", id="unknown app"),
        pytest.param(
            "shop.Document",
            "shop.Document is not registered. Call otel_usage.django.site.register() in the module `usage` of its app",
            id="not registered",
        ),
    ],
)
def test_a_model_that_has_no_counters_is_told(
    django_site: None, command: str, label: str, error: str
) -> None:
    with pytest.raises(CommandError) as caught:
        run(command, "shop.Link", label)

    assert (str(caught.value), caught.value.returncode) == (error, 2)


def test_a_flush_sends_what_waits_and_says_how_much(tracking: Tracking) -> None:
    tracking.start(flush_interval_seconds=3600)
    for _ in range(3):
        otel_usage.increment(shop.Link(pk=1), "clicks")
    otel_usage.increment(shop.Link(pk=1), "clix")

    assert run("fold_trackable_messages", "shop.Link") == "3 usage events sent, 1 set aside, 0 dropped\n"
    assert len(tracking.exporter.named("counter")) == 3
    assert run("fold_trackable_messages") == "0 usage events sent, 0 set aside, 0 dropped\n"


@pytest.mark.parametrize("settings", [{"disabled": True}, {"exporter": "none"}])
def test_a_process_that_records_nothing_says_so(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object]
) -> None:
    tracking.set_up_sdk()
    otel_usage.configure(**settings)

    assert run("fold_trackable_messages") == "0 usage events sent: this process records none\n"


def test_a_flush_that_does_not_get_through_fails(tracking: Tracking) -> None:
    def fail(attempt: int) -> None:
        raise DeliveryError("nobody there")

    tracking.exporter = RecordingExporter(fail)
    tracking.start()
    otel_usage.increment(shop.Link(pk=1), "clicks")

    with pytest.raises(
        CommandError, match=r"^1 usage events still wait: they could not be sent within 0\.2 s"
    ):
        run("fold_trackable_messages", timeout=0.2)


@pytest.fixture
def dsn(serve: ServeProcess, usage: ClickHouse, site: None) -> str:
    """A database in which two links were clicked on three days."""

    def clicks(key: int, at: str, value: int, *, counter: str = "clicks", is_bot: bool = False) -> Any:
        shared: Any = {"object_type": "shop.Link", "object_id": str(key), "counter_name": counter}
        return build_event("counter", at, is_bot=is_bot, counter_value=value, **shared)

    insert_events(
        usage,
        [
            clicks(1, "2026-03-10T10:00:00", 2),
            clicks(1, "2026-03-10T11:00:00", 3),
            clicks(1, "2026-03-12T11:00:00", 5, is_bot=True),
            clicks(1, "2026-03-12T11:00:00", 7, counter="downloads"),
            clicks(2, "2026-03-11T11:00:00", -4),
            build_event(
                "counter", counter_value=1, counter_name="x", object_type="shop.Product", object_id="1"
            ),
        ],
    )
    return serve.dsn_of(usage.dsn.database)


def rows_of(text: str, delimiter: str = "\t") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


HEADER = ["object_type", "object_id", "counter_name", "sum", "average", "days"]
LINK = "shop.Link"


def test_each_object_has_sum_and_average_of_its_counters(dsn: str) -> None:
    assert rows_of(run("generate_csv", LINK, dsn=dsn)) == [
        HEADER,
        [LINK, "1", "clicks", "10", "5.0", "2"],
        [LINK, "1", "downloads", "7", "7.0", "1"],
        [LINK, "2", "clicks", "-4", "-4.0", "1"],
    ]


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"aggregate_fields": "downloads"}, [[LINK, "1", "downloads", "7", "7.0", "1"]]),
        ({"since": "2026-03-11", "until": "2026-03-12"}, [[LINK, "2", "clicks", "-4", "-4.0", "1"]]),
        ({"no_bots": True, "aggregate_fields": "clicks", "until": "2026-03-11"}, [[LINK, "1", "clicks", "5", "5.0", "1"]]),
        ({"since": "2030-01-01", "until": "2030-02-01"}, []),
    ],
)  # fmt: skip
def test_a_file_may_hold_a_part(dsn: str, options: dict[str, Any], rows: list[list[str]]) -> None:
    assert rows_of(run("generate_csv", dsn=dsn, **options))[1:] == rows


def test_a_file_may_be_named_and_have_commas(dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "counters.csv"

    printed = run("generate_csv", LINK, dsn=dsn, output=str(path), output_format="csv")

    assert printed == ""
    assert rows_of(path.read_text("utf-8"), ",")[:2] == [HEADER, [LINK, "1", "clicks", "10", "5.0", "2"]]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"aggregate_fields": "clicks,clix"}, "Unknown counter 'clix', must be one of: clicks, downloads"),
        ({"since": "yesterday"}, "'yesterday' is no time, expected"),
        ({"output": "/nowhere/at/all.csv"}, "Cannot write '/nowhere/at/all.csv': No such file or directory"),
        ({"dsn": "http://127.0.0.1:9/otel_usage"}, "http://127.0.0.1:9"),
        ({"dsn": "ftp://x"}, "The DSN cannot be used"),
    ],
)
def test_a_file_that_cannot_be_written_is_told(dsn: str, options: dict[str, Any], error: str) -> None:
    with pytest.raises(CommandError) as caught:
        run("generate_csv", **{"dsn": dsn, **options})

    assert error in str(caught.value)


def test_without_registered_models_there_is_no_file(
    django_site: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "_registry", {})

    with pytest.raises(CommandError, match="^No model is registered"):
        run("generate_csv")
