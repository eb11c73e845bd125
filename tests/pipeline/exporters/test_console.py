from __future__ import annotations

import io
import json
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.errors import DeliveryError
from otel_usage.pipeline.events import EventMaker
from otel_usage.pipeline.exporters.console import ConsoleExporter
from tests.pipeline.spans import build_span


def lines(*spans: Any) -> list[dict[str, Any]]:
    output = io.StringIO()
    exporter = ConsoleExporter(output)
    exporter.send(exporter.freeze([event for span in spans for event in EventMaker()(span)], "t"))
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_each_event_is_a_line_of_json() -> None:
    first, second = lines(build_span(start_ns=10, duration_ns=5), build_span("liked"))

    assert first["event_name"] == "request"
    assert (first["timestamp_ns"], first["duration_ns"], first["service_name"]) == (10, 5, "shop")
    assert len(first["event_id"]) == 48
    assert first["attributes"][names.BROWSER] == "unknown"
    assert second["event_name"] == "liked"


def test_any_value_is_written() -> None:
    (line,) = lines(build_span("odd", {"a": ["x", "\udcff"], "b": "\n\0é", "c": b"\xff"}))

    assert line["attributes"]["a"] == ["x", "\udcff"]
    assert line["attributes"]["b"] == "\n\0é"


def test_standard_output_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    exporter = ConsoleExporter()

    exporter.send(exporter.freeze(EventMaker()(build_span()), "t"))

    assert json.loads(capsys.readouterr().out)["event_name"] == "request"


def test_a_closed_output_may_be_tried_again() -> None:
    output = io.StringIO()
    exporter = ConsoleExporter(output)
    batch = exporter.freeze(EventMaker()(build_span()), "t")
    output.close()

    with pytest.raises(DeliveryError, match=r"^cannot write to the console \(ValueError\)$"):
        exporter.send(batch)
    with pytest.raises(DeliveryError):
        exporter.set_aside(batch, "never")
    exporter.close()
