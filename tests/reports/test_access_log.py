"""Requests as lines of Apache's combined log: in their fields whatever clients sent, and read back by our importer."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.importers.log_text import TextFormat
from otel_usage.importers.logged_request import LoggedRequest, split_request_line
from otel_usage.reports import ReportParameters, ReportResult, run_report
from otel_usage.reports.access_log import LogEntry, log_line, request_target, write_log
from otel_usage.reports.printing import ReportRequest
from tests.builders import build_event, insert_events

DAY = datetime(2026, 3, 10, tzinfo=timezone.utc)
HOSTILE = (
    '\n198.51.100.1 - root [10/Mar/2026:12:00:00 +0000] "GET /admin HTTP/1.1" 200 5 "-" "-"\n\x1b[2J\\"\\'
)

ENTRY = LogEntry(
    address="192.0.2.1",
    user="",
    seconds=1773144000,
    method="GET",
    target="/a?b=c",
    status=200,
    size=18,
    referrer="https://example.org/",
    user_agent="Mozilla/5.0",
)


def read_back(line: str) -> LoggedRequest:
    """Return the fields of a line as our importer reads them."""
    log = TextFormat("combined")
    found = log.read([line])
    assert found.refused == []
    fields = LoggedRequest(*(field[0] for field in found.fields))
    return fields._replace(
        user=log.clean(fields.user),
        request=log.clean(fields.request),
        referrer=log.clean(fields.referrer),
        user_agent=log.clean(fields.user_agent),
    )


def log_of(client: ClickHouse, **parameters: Any) -> list[str]:
    output = io.StringIO()
    write_log(
        run_report(client, "access_log", ReportParameters(DAY, DAY + timedelta(days=1), **parameters)), output
    )
    return output.getvalue().splitlines()


def test_a_line_is_the_one_that_apache_writes() -> None:
    assert log_line(ENTRY) == (
        '192.0.2.1 - - [10/Mar/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 18 "https://example.org/" "Mozilla/5.0"'
    )


def test_what_is_not_known_is_a_dash() -> None:
    line = log_line(ENTRY._replace(address="", size=None, referrer="", user_agent=""))

    assert line == '- - - [10/Mar/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 - "-" "-"'


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(ENTRY._replace(user=HOSTILE), id="user"),
        pytest.param(ENTRY._replace(method=HOSTILE), id="method"),
        pytest.param(ENTRY._replace(target=HOSTILE), id="target"),
        pytest.param(ENTRY._replace(referrer=HOSTILE), id="referrer"),
        pytest.param(ENTRY._replace(user_agent=HOSTILE), id="user agent"),
    ],
)
def test_what_a_client_sends_stays_in_its_field(entry: LogEntry) -> None:
    line = log_line(entry)

    assert line.isascii()
    assert line.isprintable()
    back = read_back(line)
    assert (back.address, back.status, back.size) == ("192.0.2.1", "200", "18")
    assert HOSTILE in (back.user, back.referrer, back.user_agent) or HOSTILE in back.request


@pytest.mark.parametrize("agent", ['quo"te', "back\\slash", "Zürich", "\U0001f600", "\x00\x7f\x9b", "\t\v\b"])
def test_an_escaped_text_is_read_back_as_it_was(agent: str) -> None:
    assert read_back(log_line(ENTRY._replace(user_agent=agent))).user_agent == agent


def test_a_lone_surrogate_costs_no_line() -> None:
    assert '"a\\x3fb"' in log_line(ENTRY._replace(user_agent="a\ud800b"))


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/a b", "", "/a%20b"),
        ("/100%", "q=%20", "/100%25?q=%20"),
        ("/Zürich", "", "/Zürich"),
        ("/what?", "", "/what%3F"),
        ("/new\nline", "", "/new%0Aline"),
    ],
)
def test_a_path_is_written_as_it_stands_in_a_url(path: str, query: str, target: str) -> None:
    assert request_target(path, query) == target


def test_the_report_gives_each_request_as_a_line_oldest_first(usage: ClickHouse) -> None:
    second = build_event(at="2026-03-10T12:00:02", path="/b", status_code=404, user_id="ann")
    second.attributes.update({names.RESPONSE_SIZE: 7, names.QUERY: "x=1", names.REFERRER_URL: "http://r/"})
    insert_events(usage, [second, build_event(at="2026-03-10T12:00:01", user_agent="curl/8.5")])
    insert_events(usage, [build_event("object_viewed", at="2026-03-10T12:00:03")])

    assert log_of(usage) == [
        '192.0.2.1 - - [10/Mar/2026:12:00:01 +0000] "GET / HTTP/1.1" 200 - "-" "curl/8.5"',
        '192.0.2.1 - ann [10/Mar/2026:12:00:02 +0000] "GET /b?x=1 HTTP/1.1" 404 7 "http://r/" "-"',
    ]


def test_the_command_prints_the_lines_and_nothing_else(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(), build_event(at="2026-03-11T00:00:00")])
    request = ReportRequest(name="access_log", since="2026-03-10", until="2026-03-11", output_format="log")
    output = io.StringIO()

    notes = list(request.print_to(output, usage))

    assert output.getvalue() == '192.0.2.1 - - [10/Mar/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 - "-" "-"\n'
    assert notes == []


def test_a_stream_has_the_bytes_that_were_sent(usage: ClickHouse) -> None:
    request = build_event(at="2026-03-10T23:59:59")
    sent = build_event("response_sent", at="2026-03-11T00:00:05")._replace(
        trace_id=request.trace_id, parent_span_id=request.span_id
    )
    sent.attributes[names.RESPONSE_SIZE] = 3_000_000_000
    insert_events(usage, [request, sent, build_event(at="2026-03-10T23:59:58")])

    assert [line.split()[9] for line in log_of(usage)] == ["-", "3000000000"]


def test_a_limit_cuts_the_newest_and_says_so(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(at=f"2026-03-10T12:00:0{second}") for second in (3, 1, 2)])

    result: ReportResult = run_report(
        usage, "access_log", ReportParameters(DAY, DAY + timedelta(days=1), limit=2)
    )

    assert [row[0][17:19] for row in result.rows] == ["01", "02"]
    assert result.is_cut


def test_a_hashed_address_is_written_as_its_hash(usage: ClickHouse) -> None:
    event = build_event(client_address="")
    event.attributes[names.CLIENT_ADDRESS_HASH] = "9f86d081884c7d65"
    insert_events(usage, [event])

    assert log_of(usage)[0].startswith("9f86d081884c7d65 - - [")


def test_the_request_line_is_split_again_by_the_importer() -> None:
    line = log_line(ENTRY._replace(target="/a%20b"))

    assert split_request_line(read_back(line).request) == ("GET", "/a%20b")
