"""What a broken or hostile client sends: an answer each time, and the server goes on."""

from __future__ import annotations

import gzip
import os
import socket
import struct
import threading
from collections.abc import Iterator

import lz4.frame
import pytest
import zstandard

from tests.server.http import Answer, ask, send
from tests.serving import ServeProcess, start_serve

LIMIT = 1_000_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    """A server with a small limit on bodies."""
    server = start_serve(tmp_path_factory.mktemp("small"), "--max-body-bytes", str(LIMIT))
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def still_answering(serve: ServeProcess) -> Iterator[None]:
    yield
    assert ask(serve, "SELECT 'alive'").text == "alive\n"


def raw(serve: ServeProcess, *parts: bytes, hang_up: bool = False) -> bytes:
    """Send bytes on one connection and return all that comes until the server closes it."""
    host, _, port = serve.http_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=180) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(b"SELECT '\x00'", id="NUL in a text"),
        pytest.param(b"SELECT 1\x00; SELECT 2", id="NUL outside"),
        pytest.param(b"SELECT '\xff\xfe'", id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbfSELECT 1", id="byte order mark"),
        pytest.param(b"SELECT 'open", id="open quote"),
        pytest.param(b"SELECT " + b"(" * 20_000, id="deep parentheses"),
        pytest.param(b"SELECT 1" + b" + 1" * 300_000, id="a long statement"),
        pytest.param(b"'" * 1_000_000, id="a million quotes"),
        pytest.param(b"/*" * 500_000, id="open comments"),
        pytest.param(b"/**/" * 250_000 + b"x", id="many comments"),
        pytest.param(b"INSERT INTO " + b"x" * 100_000 + b" FORMAT CSV\n1", id="a long name"),
        pytest.param(b"INSERT INTO t (" + b"a," * 400_000 + b"a) FORMAT CSV\n1", id="many columns"),
        pytest.param(os.urandom(10_000_000), id="ten megabytes of noise"),
        pytest.param(b"\n" * 1_000_000, id="only spaces"),
        pytest.param(b";" * 1_000_000, id="only semicolons"),
    ],
)
def test_sql_that_is_none_is_refused_as_the_clients_mistake(serve: ServeProcess, sql: bytes) -> None:
    answer = ask(serve, sql, check=False)

    assert answer.status in (400, 404), answer.text[:300]
    assert "x-clickhouse-exception-code" in answer.headers


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"SELECT 1" + b" " * 1000)[:-9]),
        ("zstd", zstandard.compress(b"SELECT 1" + b" " * 1000)[:-3]),
        ("lz4", lz4.frame.compress(b"SELECT 1" + b" " * 1000)[:-5]),
        ("lz4", b"not lz4"),
        ("gzip", b"SELECT 1"),
        ("zstd", b"SELECT 1"),
        ("lz4", lz4.frame.compress(b"SELECT 1") + b"trailing"),
    ],
)
def test_a_damaged_body_is_refused(serve: ServeProcess, encoding: str, body: bytes) -> None:
    answer = ask(serve, body, headers={"Content-Encoding": encoding}, check=False)

    assert (answer.status, answer.headers["x-clickhouse-exception-code"]) == (400, "271"), answer.text


@pytest.mark.parametrize(
    "body",
    [
        bytes(16) + struct.pack("<BII", 0x82, 100, 10) + b"short",
        bytes(16) + struct.pack("<BII", 0x82, 5, 10),
        bytes(16) + struct.pack("<BII", 0x82, 12, 10) + b"abc",
        bytes(16) + struct.pack("<BII", 0x55, 12, 3) + b"abc",
        b"tiny",
    ],
)
def test_damaged_blocks_are_refused(serve: ServeProcess, body: bytes) -> None:
    assert ask(serve, body, {"decompress": "1"}, check=False).status == 400


def test_an_unknown_encoding_is_refused(serve: ServeProcess) -> None:
    assert ask(serve, "SELECT 1", headers={"Content-Encoding": "snappy"}, check=False).status == 415


@pytest.mark.parametrize(
    ("headers", "parameters", "body"),
    [
        pytest.param({}, {}, b" " * (LIMIT + 1), id="plain"),
        pytest.param({"Content-Encoding": "gzip"}, {}, gzip.compress(bytes(200_000_000)), id="gzip bomb"),
        pytest.param(
            {"Content-Encoding": "zstd"}, {}, zstandard.compress(bytes(2_000_000_000)), id="zstd bomb"
        ),
        pytest.param({"Content-Encoding": "lz4"}, {}, lz4.frame.compress(bytes(200_000_000)), id="lz4 bomb"),
        pytest.param(
            {},
            {"decompress": "1"},
            bytes(16) + struct.pack("<BII", 0x82, 12, 2**32 - 1) + b"abc",
            id="block bomb",
        ),
    ],
)
def test_a_body_over_the_limit_is_refused_packed_or_unpacked(
    small: ServeProcess, headers: dict[str, str], parameters: dict[str, str], body: bytes
) -> None:
    before = resident_bytes(small)

    answer = ask(small, body, parameters, headers=headers, check=False)

    assert answer.status == 413
    assert resident_bytes(small) - before < 100_000_000


def resident_bytes(serve: ServeProcess) -> int:
    # Without the pages of its program and other files, which the kernel reads and drops as it likes.
    with open(f"/proc/{serve.process.pid}/statm") as statm:
        resident, of_files = map(int, statm.read().split()[1:3])
    return (resident - of_files) * os.sysconf("SC_PAGE_SIZE")


def test_chunks_over_the_limit_are_refused_as_they_come(small: ServeProcess) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"

    answer = raw(small, head, *[b"40000\r\n" + b" " * 0x40000 + b"\r\n"] * 5, b"0\r\n\r\n")

    assert b" 413 " in answer.partition(b"\r\n")[0]


def test_a_head_over_the_limit_is_refused(serve: ServeProcess) -> None:
    answer = raw(serve, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\n")

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")) or answer == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"\x00" * 1000, id="NULs"),
        pytest.param(b"GET\r\n\r\n", id="no version"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", id="negative length"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            id="two lengths",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="bad chunk"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\nSELECT 1",
            id="hangs up in the body",
        ),
    ],
)
def test_bytes_that_are_not_http_do_no_harm(serve: ServeProcess, request_bytes: bytes) -> None:
    answer = raw(serve, request_bytes, hang_up=True)

    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403")), answer[:200]


def test_headers_that_are_not_utf_8_do_no_harm(serve: ServeProcess) -> None:
    head = b"POST /?query_id=%FF HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: \xff\xfe\r\nConnection: close\r\n\r\n"

    assert raw(serve, head).startswith(b"HTTP/1.1 40")


def test_pipelined_requests_are_answered_in_order(serve: ServeProcess) -> None:
    requests = [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nSELECT %d" % number
        for number in range(5)
    ]

    answer = raw(
        serve, b"".join(requests) + b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )

    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n", b"Ok.\n"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"no_such_setting": "1"},
        {"max_threads": "many"},
        {"session_id": "s", "session_timeout": "-1"},
        {"client_protocol_version": "٥٤٤٦٠"},
        {"client_protocol_version": "9" * 5000, "compress": "0"},
        {"default_format": "NoSuchFormat"},
        {"default_format": "dataframe"},
        {"param_": "x", "format_schema": "x"},
        {"max_threads": "1', dialect = 'kusto"},
        {"max_threads = 1, dialect": "kusto"},
    ],
)
def test_parameters_that_make_no_sense_are_the_clients_mistake(
    serve: ServeProcess, parameters: dict[str, str]
) -> None:
    answer = ask(serve, "SELECT 1", parameters, check=False)

    assert answer.status in (400, 403, 404), answer.text


def test_a_url_that_cannot_be_decoded_is_the_clients_mistake(serve: ServeProcess) -> None:
    assert send(serve.http_url, "/?query=SELECT+%FF", method="GET").status == 400
    assert send(serve.http_url, "/?" + "a=1&" * 5000, method="GET").status == 400


def test_a_broken_form_is_the_clients_mistake(serve: ServeProcess) -> None:
    for body in (b"", b"--x\r\n\r\n", os.urandom(1000)):
        headers = {"Content-Type": "multipart/form-data; boundary=x"}

        assert send(serve.http_url, "/", body=body, headers=headers).status in (200, 400)


def test_rows_that_cannot_be_read_leave_nothing(serve: ServeProcess) -> None:
    ask(serve, "CREATE OR REPLACE TABLE unread (a UInt8) ENGINE = MergeTree ORDER BY a")

    answer = ask(serve, "INSERT INTO unread FORMAT TSV\n1\n2\nx\n", check=False)
    truncated = ask(serve, b"INSERT INTO unread FORMAT Native\n\x01\x02\x01a\x05UInt8\x01", check=False)

    assert {answer.status, truncated.status} <= {400, 500}
    assert ask(serve, "SELECT count() FROM unread").text == "0\n"


def test_many_clients_at_once_are_all_answered(serve: ServeProcess) -> None:
    ask(serve, "CREATE OR REPLACE TABLE crowd (a UInt32) ENGINE = MergeTree ORDER BY a")
    answers: list[Answer] = []

    def insert(number: int) -> None:
        token = {"insert_deduplication_token": str(number)}
        for part in range(10):
            answers.append(
                ask(serve, f"INSERT INTO crowd FORMAT TSV\n{number * 10 + part}\n", token, check=False)
            )

    threads = [threading.Thread(target=insert, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status for answer in answers} == {200}
    assert ask(serve, "SELECT uniqExact(a) FROM crowd").text == "80\n"


def test_two_requests_of_one_session_at_once_are_not_mixed(serve: ServeProcess) -> None:
    session = {"session_id": "busy"}
    ask(serve, "CREATE TEMPORARY TABLE busy (a UInt8)", session)
    statuses: list[int] = []

    def query() -> None:
        statuses.append(ask(serve, "SELECT sleep(0.3)", session, check=False).status)

    threads = [threading.Thread(target=query) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(statuses) <= {200, 503}
    assert 200 in statuses
