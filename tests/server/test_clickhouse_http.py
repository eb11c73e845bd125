from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable

import lz4.block
import lz4.frame
import pytest
import zstandard

from otel_usage.server.bodies import BodyReader
from tests.server.http import ask, send
from tests.serving import ServeProcess


def test_ping_answers_ok(serve: ServeProcess) -> None:
    assert send(serve.http_url, "/ping", method="GET").text == "Ok.\n"


def test_healthz_says_that_the_engine_answers(serve: ServeProcess) -> None:
    answer = send(serve.http_url, "/healthz", method="GET")

    assert (answer.status, json.loads(answer.body)["status"]) == (200, "ok")


def test_an_unknown_path_is_not_found(serve: ServeProcess) -> None:
    assert send(serve.http_url, "/favicon.ico", method="GET").status == 404


def test_a_result_says_its_format_and_a_statement_without_result_does_not(serve: ServeProcess) -> None:
    rows = ask(serve, "SELECT 1")
    none = ask(serve, "SET max_threads = 1")

    assert rows.headers["x-clickhouse-format"] == "TabSeparated"
    assert "x-clickhouse-format" not in none.headers


@pytest.mark.parametrize(
    ("parameters", "headers", "expected"),
    [
        pytest.param({}, {}, "1\tx\n", id="tab separated by default"),
        pytest.param({"default_format": "CSV"}, {}, '1,"x"\n', id="by the URL"),
        pytest.param({}, {"X-ClickHouse-Format": "CSV"}, '1,"x"\n', id="by a header"),
    ],
)
def test_the_format_follows_the_request(
    serve: ServeProcess, parameters: dict[str, str], headers: dict[str, str], expected: str
) -> None:
    assert ask(serve, "SELECT 1, 'x'", parameters, headers=headers).text == expected


def test_the_database_follows_the_request(serve: ServeProcess) -> None:
    sql = "SELECT currentDatabase()"

    assert ask(serve, sql).text == "otel_usage\n"
    assert ask(serve, sql, {"database": "default"}).text == "otel_usage\n"
    assert ask(serve, sql, {"database": "system"}).text == "system\n"
    assert ask(serve, sql, headers={"X-ClickHouse-Database": "system"}).text == "system\n"
    assert (
        ask(serve, sql, {"database": "no_such"}, check=False).headers["x-clickhouse-exception-code"] == "81"
    )


def test_the_query_id_comes_back(serve: ServeProcess) -> None:
    assert (
        ask(serve, "SELECT 1", {"query_id": "mine\r\nX-Evil: 1"}).headers["x-clickhouse-query-id"]
        == "mineX-Evil: 1"
    )
    assert len(ask(serve, "SELECT 1").headers["x-clickhouse-query-id"]) == 36


def test_the_summary_counts_written_rows(serve: ServeProcess) -> None:
    ask(serve, "CREATE OR REPLACE TABLE summed (a UInt8) ENGINE = Memory")

    answer = ask(serve, "INSERT INTO summed FORMAT TSV\n1\n2\n3\n")

    assert json.loads(answer.headers["x-clickhouse-summary"])["written_rows"] == "3"


def test_a_get_only_reads(serve: ServeProcess) -> None:
    answer = send(serve.http_url, "/?query=CREATE+TABLE+got+(a+Int8)+ENGINE=Memory", method="GET")

    assert (answer.status, answer.headers["x-clickhouse-exception-code"]) == (403, "164")
    assert ask(serve, "EXISTS TABLE got").text == "0\n"


def test_a_get_of_a_session_does_not_leave_it_read_only(serve: ServeProcess) -> None:
    session = {"session_id": "get-then-post"}
    ask(serve, "CREATE TEMPORARY TABLE kept (a Int8)", session)

    assert (
        send(serve.http_url, "/?query=SELECT+count()+FROM+kept&session_id=get-then-post", method="GET").text
        == "0\n"
    )
    ask(serve, "INSERT INTO kept VALUES (1)", session)
    assert ask(serve, "SELECT count() FROM kept", session).text == "1\n"


def test_a_closed_session_is_gone(serve: ServeProcess) -> None:
    session = {"session_id": "closed"}
    ask(serve, "CREATE TEMPORARY TABLE kept (a Int8)", session)

    ask(serve, "SELECT 1", {**session, "close_session": "1"})

    assert ask(serve, "SELECT * FROM kept", session, check=False).status == 404


@pytest.mark.parametrize(
    ("parameters", "headers"),
    [
        ({"user": "admin"}, {}),
        ({"password": "secret"}, {}),
        ({}, {"X-ClickHouse-User": "admin"}),
        ({}, {"X-ClickHouse-Key": "secret"}),
        ({}, {"Authorization": "Basic YWRtaW46c2VjcmV0"}),
        ({}, {"Authorization": "Basic not-base64"}),
        ({}, {"Authorization": "Bearer x"}),
    ],
)
def test_credentials_are_refused_because_they_mean_another_server(
    serve: ServeProcess, parameters: dict[str, str], headers: dict[str, str]
) -> None:
    answer = ask(serve, "SELECT 1", parameters, headers=headers, check=False)

    assert (answer.status, answer.headers["x-clickhouse-exception-code"]) == (401, "516")


def test_the_default_user_without_password_is_welcome(serve: ServeProcess) -> None:
    assert ask(serve, "SELECT 1", {"user": "default", "password": ""}).text == "1\n"
    assert ask(serve, "SELECT 1", headers={"Authorization": "Basic ZGVmYXVsdDo="}).text == "1\n"


def native_block(data: bytes) -> bytes:
    packed: bytes = lz4.block.compress(data, store_size=False)
    return bytes(16) + struct.pack("<BII", 0x82, len(packed) + 9, len(data)) + packed


@pytest.mark.parametrize(
    ("headers", "parameters", "pack"),
    [
        pytest.param({}, {}, bytes, id="plain"),
        pytest.param({"Content-Encoding": "gzip"}, {}, gzip.compress, id="gzip"),
        pytest.param({"Content-Encoding": "deflate"}, {}, zlib.compress, id="deflate"),
        pytest.param({"Content-Encoding": "zstd"}, {}, zstandard.compress, id="zstd"),
        pytest.param({"Content-Encoding": "lz4"}, {}, lz4.frame.compress, id="lz4"),
        pytest.param({}, {"decompress": "1"}, native_block, id="ClickHouse's blocks"),
    ],
)
def test_a_body_is_unpacked(
    serve: ServeProcess, headers: dict[str, str], parameters: dict[str, str], pack: Callable[[bytes], bytes]
) -> None:
    assert ask(serve, pack(b"SELECT 'packed'"), parameters, headers=headers).text == "packed\n"


@pytest.mark.parametrize(
    ("accepted", "unpack"),
    [
        ("gzip", gzip.decompress),
        ("zstd", lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body)),
        ("br, lz4;q=0.5", lz4.frame.decompress),
    ],
)
def test_a_response_is_packed_as_the_client_accepts(
    serve: ServeProcess, accepted: str, unpack: Callable[[bytes], bytes]
) -> None:
    answer = ask(
        serve,
        "SELECT repeat('a', 100000)",
        {"enable_http_compression": "1"},
        headers={"Accept-Encoding": accepted},
    )

    assert answer.headers["content-encoding"] in accepted
    assert unpack(answer.body) == b"a" * 100_000 + b"\n"


@pytest.mark.parametrize("sql", ["SELECT 'packed'", "SELECT no_such_column", "SELECT file('/etc/passwd')"])
def test_answers_and_errors_come_in_clickhouses_blocks_to_those_who_ask(
    serve: ServeProcess, sql: str
) -> None:
    plain = ask(serve, sql, check=False)
    packed = ask(serve, sql, {"compress": "1"}, check=False)

    assert packed.status == plain.status
    assert BodyReader(1 << 20).unpack(packed.body, "", native_blocks=True) == plain.body


@pytest.mark.parametrize(
    ("query", "body"),
    [
        pytest.param("INSERT INTO splits FORMAT TSV", b"1\tx;y\n", id="statement in the URL"),
        pytest.param("", b"INSERT INTO splits FORMAT TSV\n1\tx;y\n", id="statement in the body"),
        pytest.param("INSERT INTO splits FORMAT TSV\n1\tx;y", b"", id="data in the URL"),
        pytest.param("INSERT INTO splits (a, s)", b"FORMAT TSV\r\n1\tx;y\n", id="statement over both"),
        pytest.param(
            "", b"/* c */ insert into `splits` (`a`, s) format TSV\n1\tx;y\n", id="a comment before"
        ),
        pytest.param("", b"INSERT INTO splits SETTINGS async_insert=1 FORMAT TSV\n1\tx;y\n", id="settings"),
        pytest.param(
            "", b'INSERT INTO TABLE otel_usage.splits (a, s) FORMAT JSONEachRow {"a":1,"s":"x;y"}', id="json"
        ),
        pytest.param("", b"INSERT INTO splits VALUES (1, 'x;y')", id="values"),
        pytest.param("", b"INSERT INTO splits FORMAT Values (1, 'x;y')", id="values as a format"),
        pytest.param("INSERT INTO splits VALUES", b"(1, 'x;y')", id="values in the body"),
        pytest.param("INSERT INTO splits FORMAT RowBinary", b"\x01\x03x;y", id="binary"),
    ],
)
def test_an_insert_may_be_split_between_url_and_body(serve: ServeProcess, query: str, body: bytes) -> None:
    ask(serve, "CREATE OR REPLACE TABLE splits (a UInt8, s String) ENGINE = Memory")

    ask(serve, body, {"query": query})

    assert ask(serve, "SELECT * FROM splits").text == "1\tx;y\n"


def test_a_long_list_of_values_is_inserted(serve: ServeProcess) -> None:
    ask(serve, "CREATE OR REPLACE TABLE many (a UInt32, s String) ENGINE = Memory")

    ask(serve, "INSERT INTO many (a, s) VALUES " + ",".join(f"({n}, 'it''s; {n}')" for n in range(50_000)))

    assert ask(serve, "SELECT count(), max(a), any(s) LIKE 'it''s; %' FROM many").text == "50000\t49999\t1\n"


def test_settings_of_the_url_hold_for_their_request(serve: ServeProcess) -> None:
    sql = "SELECT getSetting('max_block_size')"

    assert ask(serve, sql, {"max_block_size": "77"}).text == "77\n"
    assert ask(serve, sql).text != "77\n"
