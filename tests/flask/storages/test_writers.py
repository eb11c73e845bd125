"""Storages that write to a stream."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.flask.storages import (
    ApacheLogWriter,
    Delivery,
    OutputWriter,
    PrintStorage,
    PrintWriter,
    RequestExtras,
    build_data,
)
from tests.builders import build_event


def data(**extras: Any) -> dict[str, Any]:
    return build_data(build_event(user_agent="curl/8.5"), RequestExtras(host="shop.example", **extras))


def written(referrer: str = "", **attributes: Any) -> str:
    """Return what the log writer makes of a request that came through a delivery."""
    output = io.StringIO()
    event = build_event(**attributes)
    if referrer:
        event.attributes[names.REFERRER_URL] = referrer
    delivery = Delivery(ApacheLogWriter(output))
    delivery.offer(event, RequestExtras(host="shop.example"))
    delivery.close(20)
    return output.getvalue()


def test_a_print_writer_prints_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    PrintWriter()({"path": "/a\nb"})

    assert capsys.readouterr().out == "{'path': '/a\\nb'}\n"
    assert PrintStorage is PrintWriter


def test_an_output_writer_writes_to_stderr_without_an_output(capsys: pytest.CaptureFixture[str]) -> None:
    OutputWriter()({"path": "/"})

    assert capsys.readouterr().err == "{'path': '/'}"


def test_an_output_writer_writes_what_its_transform_makes_and_flushes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as output:
        OutputWriter(output=output, transform=lambda data: f"{data['path']}|")({"path": "/a"})

        assert path.read_text() == "/a|"


class OnlyWrite:
    def write(self, text: str) -> None: ...


@pytest.mark.parametrize(
    ("output", "missing"), [(object(), "write"), (OnlyWrite(), "writable"), ("path", "write")]
)
@pytest.mark.parametrize("writer", [OutputWriter, ApacheLogWriter])
def test_an_output_that_is_not_like_a_file_is_refused(writer: type, output: object, missing: str) -> None:
    with pytest.raises(TypeError, match=f"without a {missing} method"):
        writer(output=output)


@pytest.mark.parametrize("writer", [OutputWriter, ApacheLogWriter])
def test_an_output_that_cannot_be_written_to_is_refused(writer: type, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    with path.open() as output, pytest.raises(ValueError, match="not writable; open it for writing"):
        writer(output=output)


def test_an_output_that_cannot_be_flushed_is_written_to_all_the_same() -> None:
    class Unflushable(OnlyWrite):
        texts: list[str] = []

        def writable(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.texts.append(text)

    OutputWriter(Unflushable())({})

    assert Unflushable.texts == ["{}"]


def test_a_log_line_has_the_referrer_that_the_client_sent_and_not_the_url() -> None:
    line = written("https://example.org/from?here", path="/to", user_agent="curl/8.5", user_id="ann")

    assert line == (
        '192.0.2.1 - ann [10/Mar/2026:12:00:00 +0000] "GET /to HTTP/1.1" 200 - "https://example.org/from?here" "curl/8.5"\n'
    )


def test_a_log_line_has_the_target_as_it_was_asked_for_and_the_size() -> None:
    event = build_event(path="/a b")
    event.attributes.update({names.QUERY: "x=1&y=%20", names.RESPONSE_SIZE: 5})
    output = io.StringIO()

    ApacheLogWriter(output)(build_data(event, RequestExtras(host="shop:8000", protocol="HTTP/1.0")))

    assert '"GET /a%20b?x=1&y=%20 HTTP/1.0" 200 5 "-" "-"\n' in output.getvalue()


@pytest.mark.parametrize("field", ["path", "user_agent", "user_id", "referrer"])
def test_no_request_writes_a_log_line_of_its_own(field: str) -> None:
    line = written(**{field: '/\n1.2.3.4 - - [x] "GET /admin HTTP/1.1" 200 - "-" "-'})

    assert line.count("\n") == 1
    assert line.startswith("192.0.2.1 - ")
    assert 'HTTP/1.1" 200 - ' in line


def test_stderr_is_the_output_of_the_log_by_default() -> None:
    assert ApacheLogWriter().output is sys.stderr


def test_data_that_comes_from_elsewhere_has_no_referrer() -> None:
    output = io.StringIO()

    ApacheLogWriter(output)(data())

    assert output.getvalue().endswith('"-" "curl/8.5"\n')
