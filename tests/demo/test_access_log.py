"""Lines of access logs, the hostile ones too."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from otel_usage.demo.access_log import MAX_LINE_BYTES, UNKNOWN_ADDRESS, AccessLog, LoggedRequest, parse_line

NOT_COMBINED = "not in the combined log format"
NO_REQUEST = "no HTTP request on the line"


def build_line(
    request: str = "GET /a HTTP/1.1",
    *,
    client: str = "192.0.2.7",
    referrer: str = "-",
    agent: str = "Mozilla/5.0",
) -> str:
    return f'{client} - - [17/May/2015:10:05:03 +0000] "{request}" 200 512 "{referrer}" "{agent}"'


def parsed(line: str) -> LoggedRequest:
    request = parse_line(line)
    assert isinstance(request, LoggedRequest), request
    return request


def test_a_line_of_the_combined_format_is_read_whole() -> None:
    line = build_line("GET /a?b=1 HTTP/1.1", referrer="https://example.org/x")

    assert parse_line(line) == LoggedRequest(
        "GET", "/a?b=1", "192.0.2.7", "https://example.org/x", "Mozilla/5.0"
    )


@pytest.mark.parametrize(
    ("request_line", "method", "target"),
    [
        pytest.param("HEAD / HTTP/1.0", "HEAD", "/", id="another method"),
        pytest.param("PROPFIND /dav HTTP/1.1", "PROPFIND", "/dav", id="a method of WebDAV"),
        pytest.param("GET /old", "GET", "/old", id="HTTP 0.9 without a protocol"),
        pytest.param("GET /a b HTTP/1.1", "GET", "/a%20b", id="a space in the path"),
        pytest.param("GET http://example.org/p?q=1 HTTP/1.1", "GET", "/p?q=1", id="an absolute URI"),
        pytest.param("GET http://example.org HTTP/1.1", "GET", "/", id="an absolute URI without a path"),
        pytest.param("GET //double/slash HTTP/1.1", "GET", "//double/slash", id="two slashes"),
        pytest.param("GET /%7Euser/%zz HTTP/1.1", "GET", "/%7Euser/%zz", id="percent signs stay as they are"),
        pytest.param(r"GET /\xc3\xa4 HTTP/1.1", "GET", "/%C3%A4", id="escaped bytes"),
        pytest.param(r"GET /\"quoted\" HTTP/1.1", "GET", '/"quoted"', id="escaped quotes"),
        pytest.param(r"GET /back\\slash HTTP/1.1", "GET", "/back\\slash", id="an escaped backslash"),
        pytest.param(r"GET /nul\x00 HTTP/1.1", "GET", "/nul%00", id="a byte of zero"),
        pytest.param(r"GET /a\r\nX-Evil: 1 HTTP/1.1", "GET", "/a%0D%0AX-Evil:%201", id="an injected header"),
        pytest.param("GET /a#top HTTP/1.1", "GET", "/a%23top", id="a fragment"),
        pytest.param("GET /ä HTTP/1.1", "GET", "/%E4", id="a byte above 127"),
    ],
)
def test_an_odd_request_becomes_one_that_can_be_sent(request_line: str, method: str, target: str) -> None:
    request = parsed(build_line(request_line))

    assert (request.method, request.target) == (method, target)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("", NOT_COMBINED, id="nothing"),
        pytest.param("hello", NOT_COMBINED, id="a word"),
        pytest.param('192.0.2.7 - - [x] "GET / HTTP/1.1" 200 1', NOT_COMBINED, id="the common format"),
        pytest.param(build_line()[:-1], NOT_COMBINED, id="cut off in the agent"),
        pytest.param(
            '192.0.2.7 - - [x "GET / HTTP/1.1" 200 1 "-" "-"', NOT_COMBINED, id="no end of the time"
        ),
        pytest.param("\x00" * 500, NOT_COMBINED, id="zeros of a torn disk"),
        pytest.param(build_line(client="a,b"), NOT_COMBINED, id="two clients"),
        pytest.param(build_line("-"), NO_REQUEST, id="a connection without a request"),
        pytest.param(build_line(""), NO_REQUEST, id="an empty request"),
        pytest.param(build_line(r"\x16\x03\x01\x02"), NO_REQUEST, id="TLS on the port of HTTP"),
        pytest.param(build_line("get / HTTP/1.1"), NO_REQUEST, id="a method in small letters"),
        pytest.param(build_line("OPTIONS * HTTP/1.1"), "no path in the request", id="the server as a whole"),
        pytest.param(build_line("CONNECT example.org:443 HTTP/1.1"), "no path in the request", id="a tunnel"),
        pytest.param(build_line("GET http://[bad HTTP/1.1"), "no path in the request", id="a broken URI"),
        pytest.param(build_line("GET /" + "a" * 9000), "target too long", id="a path of 9,000 letters"),
        pytest.param(build_line(client="999:1"), "no address at the beginning", id="half an address"),
    ],
)
def test_a_line_without_a_request_says_why(line: str, reason: str) -> None:
    assert parse_line(line) == reason


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("1.2.3.4 - - " + "[" * 60_000, id="brackets"),
        pytest.param('1.2.3.4 - - [x] "' + "\\" * 60_000, id="backslashes"),
        pytest.param('1.2.3.4 - - [x] "' + '\\"' * 30_000 + '" 200 - "', id="escaped quotes"),
        pytest.param("1 " * 30_000, id="words"),
    ],
)
def test_no_line_takes_long_however_it_is_made(line: str) -> None:
    began_at = time.process_time()

    assert parse_line(line) == NOT_COMBINED
    assert time.process_time() - began_at < 0.5


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("crawler.example.org", UNKNOWN_ADDRESS),
    ],
)
def test_the_address_is_in_its_usual_form(client: str, address: str) -> None:
    assert parsed(build_line(client=client)).address == address


def test_headers_hold_no_control_characters_and_no_dash_for_nothing() -> None:
    request = parsed(build_line(referrer="-", agent=r"a\r\nX-Evil: 1\t\"b\""))

    assert request.referrer == ""
    assert request.user_agent == 'a X-Evil: 1 "b"'


def test_a_user_with_spaces_in_the_name_does_not_shift_the_fields() -> None:
    line = '192.0.2.7 - two words [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 - "-" "x"'

    assert parsed(line).target == "/a"


def test_what_follows_the_agent_is_ignored() -> None:
    assert parsed(build_line() + ' "extra" 0.012').user_agent == "Mozilla/5.0"


def test_a_file_counts_what_it_skips_and_reads_on(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    long_line = b"x" * (3 * MAX_LINE_BYTES)
    path.write_bytes(
        b"\n".join([build_line().encode(), b"", b"garbage", long_line, build_line("-").encode()])
    )

    log = AccessLog(path)
    requests = list(log.requests())

    assert len(requests) == 1
    assert log.lines == 4
    assert log.skipped == {NOT_COMBINED: 2, NO_REQUEST: 1}


def test_a_limit_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("\n".join([build_line()] * 5))

    assert len(list(AccessLog(path).requests(limit=3))) == 3
