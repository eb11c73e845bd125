"""Unmodified ClickHouse clients against the embedded server."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.server.http import ask
from tests.serving import ServeProcess

ODD_TEXT = "a\tb\nc'd\"e\\f;g é 日本 \x01"
ROWS: list[list[Any]] = [
    [
        number,
        f"{ODD_TEXT}{number}",
        ipaddress.ip_address("192.0.2.1"),
        {"k": "v'"},
        None if number % 2 else number,
    ]
    for number in range(1000)
]
COLUMNS = ["a", "s", "ip", "m", "n"]


def connect(serve: ServeProcess, **options: Any) -> Client:
    return clickhouse_connect.get_client(
        host="localhost", port=int(serve.http_url.rpartition(":")[2]), **options
    )


@pytest.fixture
def client(serve: ServeProcess) -> Iterator[Client]:
    client = connect(serve)
    yield client
    client.close()


@pytest.fixture
def table(serve: ServeProcess) -> Iterator[str]:
    ask(
        serve,
        "CREATE TABLE client_rows (a UInt32, s String, ip IPv6, m Map(String, String), n Nullable(Int64)) "
        "ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100",
    )
    yield "client_rows"
    ask(serve, "DROP TABLE client_rows SYNC")


@pytest.mark.parametrize("compression", [False, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_inserts_rows_that_it_reads_back(
    serve: ServeProcess, table: str, compression: bool | str
) -> None:
    client = connect(serve, compress=compression)

    summary = client.insert(table, ROWS, column_names=COLUMNS)
    rows = client.query(f"SELECT * FROM {table} ORDER BY a").result_rows

    assert summary.written_rows == 1000
    assert [list(row[:2]) + list(row[3:]) for row in rows] == [row[:2] + row[3:] for row in ROWS]
    assert rows[0][2].ipv4_mapped == ROWS[0][2]
    client.close()


def test_the_same_batch_with_the_same_token_counts_once(client: Client, table: str) -> None:
    for _ in range(3):
        client.insert(table, ROWS, column_names=COLUMNS, settings={"insert_deduplication_token": "one"})

    assert client.command(f"SELECT count() FROM {table}") == 1000


def test_values_are_bound_and_come_back_as_they_were(client: Client) -> None:
    day = datetime.datetime(2026, 1, 2, 3, 4, 5)

    rows = client.query(
        "SELECT {text:String}, {list:Array(String)}, {day:DateTime64(3)}, {none:Nullable(String)}",
        parameters={"text": ODD_TEXT, "list": [ODD_TEXT, "'"], "day": day, "none": None},
    ).result_rows

    assert rows == [(ODD_TEXT, [ODD_TEXT, "'"], day, None)]
    assert client.query("SELECT %(text)s", parameters={"text": ODD_TEXT}).result_rows == [(ODD_TEXT,)]


def test_parameters_may_come_as_a_form(serve: ServeProcess) -> None:
    client = connect(serve, form_encode_query_params=True)

    assert client.query("SELECT {text:String}", parameters={"text": ODD_TEXT}).result_rows == [(ODD_TEXT,)]
    client.close()


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM no_such_table", 60),
        ("SELECT * FROM no_such_database.t", 81),
        ("SELECT no_such_column", 47),
        ("SELECT noSuchFunction(1)", 46),
        ("SELEC 1", 62),
        ("SELECT (1", 62),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115),
        ("SELECT throwIf(1)", 395),
        ("SELECT file('/etc/passwd')", 497),
    ],
)
def test_an_error_reaches_the_client_with_its_code(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as raised:
        client.query(sql)

    assert raised.value.code == code


def test_a_session_keeps_its_temporary_table_and_nobody_elses(serve: ServeProcess, client: Client) -> None:
    client.command("CREATE TEMPORARY TABLE mine (a Int32)")
    client.insert("mine", [[1], [2]], column_names=["a"])

    assert client.command("SELECT sum(a) FROM mine", settings={"max_threads": 1}) == 3
    other = connect(serve)
    with pytest.raises(DatabaseError):
        other.query("SELECT * FROM mine")
    other.close()


def test_settings_of_one_request_do_not_stay(client: Client) -> None:
    client.command("SET max_block_size = 1234")
    client.query("SELECT 1", settings={"readonly": 2, "max_block_size": 99})

    assert client.command("SELECT getSetting('max_block_size')") == 1234
    client.command("CREATE TEMPORARY TABLE still_writable (a Int32)")


def test_frames_and_arrow_tables_go_both_ways(client: Client) -> None:
    pandas = pytest.importorskip("pandas")
    client.command("CREATE OR REPLACE TABLE frames (number UInt64) ENGINE = Memory")
    client.insert_df("frames", pandas.DataFrame({"number": [1, 2, 3]}))

    assert client.query_df("SELECT sum(number) AS n FROM frames")["n"][0] == 6
    assert client.query_arrow("SELECT * FROM frames").num_rows == 3


def test_a_stream_of_rows_and_raw_data_work(client: Client) -> None:
    client.command("CREATE OR REPLACE TABLE raw (number UInt64) ENGINE = Memory")
    client.raw_insert("raw", ["number"], b"5\n6\n", fmt="CSV")

    with client.query_rows_stream("SELECT number FROM numbers(100000)") as stream:
        assert sum(1 for _ in stream) == 100_000
    assert client.raw_query("SELECT * FROM raw ORDER BY number", fmt="CSV") == b"5\n6\n"


def test_clickhouse_connect_works_asynchronously(serve: ServeProcess, table: str) -> None:
    pytest.importorskip("aiohttp")

    async def run() -> int:
        port = int(serve.http_url.rpartition(":")[2])
        client = await clickhouse_connect.get_async_client(host="localhost", port=port)
        await client.insert(table, ROWS, column_names=COLUMNS)
        result = await client.query(f"SELECT count() FROM {table}")
        await client.close()
        return int(result.result_rows[0][0])

    assert asyncio.run(run()) == 1000


def test_aiochclient_works(serve: ServeProcess) -> None:
    httpx = pytest.importorskip("httpx")
    aiochclient = pytest.importorskip("aiochclient")
    ask(serve, "CREATE OR REPLACE TABLE aioch (a UInt8, s String) ENGINE = Memory")

    async def run() -> tuple[bool, list[tuple[Any, ...]]]:
        async with httpx.AsyncClient() as session:
            client = aiochclient.ChClient(session, url=serve.http_url, database="otel_usage")
            await client.execute("INSERT INTO aioch (a, s) VALUES", (1, "x'"), (2, "y"))
            rows = await client.fetch("SELECT * FROM aioch ORDER BY a")
            return await client.is_alive(), [tuple(row.values()) for row in rows]

    assert asyncio.run(run()) == (True, [(1, "x'"), (2, "y")])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_works(serve: ServeProcess) -> None:
    def curl(*arguments: str, data: bytes = b"") -> str:
        return subprocess.run(["curl", "-sS", *arguments], input=data, capture_output=True).stdout.decode()

    assert curl(f"{serve.http_url}/ping") == "Ok.\n"
    assert curl(f"{serve.http_url}/?query=SELECT+1") == "1\n"
    assert curl(serve.http_url, "-d", "SELECT 1 AS a FORMAT CSVWithNames") == '"a"\n1\n'
    assert curl(f"{serve.http_url}/?param_x=5", "-d", "SELECT {x:UInt8} + 1") == "6\n"
    assert curl(serve.http_url, "-d", "CREATE OR REPLACE TABLE curled (a UInt8) ENGINE = Memory") == ""
    insert = f"{serve.http_url}/?query=INSERT+INTO+curled+FORMAT+TSV"
    assert curl(insert, "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", data=b"1\n2\n") == ""
    assert curl("-u", "default:", serve.http_url, "-d", "SELECT sum(a) FROM curled") == "3\n"
