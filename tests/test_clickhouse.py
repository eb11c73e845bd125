"""The one module that speaks to ClickHouse: errors sorted into passing and lasting, typed answers."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse, connect, encode_native
from otel_usage.errors import ClickHouseError, ClickHouseUnavailable
from tests.ports import free_port
from tests.serving import ServeProcess


@pytest.fixture
def client(serve: ServeProcess) -> Iterator[ClickHouse]:
    client = connect(serve.dsn_of("default"))
    yield client
    client.close()


# Errors.


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        pytest.param("SELECT * FROM no_such_table", 60, id="unknown table"),
        pytest.param("SELECT * FROM no_such_database.events", 81, id="unknown database"),
        pytest.param("SELECT sleep(3) SETTINGS max_execution_time = 0.1, function_sleep_max_microseconds_per_block = 0", 159, id="too slow"),
        pytest.param("SELECT groupArray(number) FROM numbers(50000000) SETTINGS max_memory_usage = 1000000", 241, id="no memory"),
    ],
)  # fmt: skip
def test_what_may_pass_is_unavailable(client: ClickHouse, statement: str, code: int) -> None:
    with pytest.raises(ClickHouseUnavailable) as raised:
        client.query(statement)

    assert raised.value.code == code


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        pytest.param("SELEC 1", 62, id="bad syntax"),
        pytest.param("SELECT no_such_column", 47, id="unknown column"),
        pytest.param("SELECT toUInt8('x')", 6, id="bad data"),
    ],
)
def test_what_never_passes_is_an_error_with_its_code(client: ClickHouse, statement: str, code: int) -> None:
    with pytest.raises(ClickHouseError) as raised:
        client.query(statement)

    assert not isinstance(raised.value, ClickHouseUnavailable)
    assert raised.value.code == code


def test_rows_of_more_months_than_an_insert_may_have_never_pass(database: ClickHouse) -> None:
    database.command(
        "CREATE TABLE monthly (month UInt8) ENGINE = MergeTree PARTITION BY month ORDER BY month"
    )

    with pytest.raises(ClickHouseError) as raised:
        database.insert("monthly", ["month"], ["UInt8"], [range(101)], token="of 101 months")

    assert raised.value.code == 252
    assert not isinstance(raised.value, ClickHouseUnavailable)


def test_an_error_is_one_line_without_the_address_of_the_server(client: ClickHouse) -> None:
    with pytest.raises(ClickHouseError) as raised:
        client.query("SELEC 1")

    text = str(raised.value)
    assert text.startswith("Code: 62. DB::Exception: ")
    assert "\n" not in text
    assert "for url" not in text
    assert "(version" not in text


def test_nobody_there_is_unavailable_and_keeps_the_password() -> None:
    port = free_port()

    with pytest.raises(ClickHouseUnavailable) as raised:
        connect(f"http://ann:secret@127.0.0.1:{port}/usage")

    assert str(raised.value) == f"http://127.0.0.1:{port}/usage does not answer: Connection refused"
    assert raised.value.code is None


@contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[int]:
    """Listen with a server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "may_pass"),
    [
        (500, True),
        (502, True),
        (503, True),
        (429, True),
        (401, True),
        (404, True),
        (400, False),
        (413, False),
    ],
)
def test_an_answer_that_is_not_clickhouses_is_judged_by_its_status(status: int, may_pass: bool) -> None:
    with answering(status, b"<html>no</html>") as port, pytest.raises(ClickHouseError) as raised:
        connect(f"http://127.0.0.1:{port}/usage")

    assert isinstance(raised.value, ClickHouseUnavailable) == may_pass
    assert f"http://127.0.0.1:{port}/usage answered, but not as ClickHouse does" in str(raised.value)


@pytest.mark.parametrize("code", [192, 193, 194, 497, 516, 164, 202, 243, 252, 319])
def test_an_account_or_a_server_that_does_not_fit_yet_may_pass(code: int) -> None:
    body = f"Code: {code}. DB::Exception: no".encode()

    with (
        answering(403, body, X_ClickHouse_Exception_Code=str(code)) as port,
        pytest.raises(ClickHouseUnavailable) as raised,
    ):
        connect(f"http://ann:secret@127.0.0.1:{port}/usage")

    assert raised.value.code == code
    assert "secret" not in str(raised.value)


def test_a_password_that_the_server_repeats_is_masked() -> None:
    body = b"Code: 516. DB::Exception: ann: wrong password hunter2"

    with (
        answering(401, body, X_ClickHouse_Exception_Code="516") as port,
        pytest.raises(ClickHouseUnavailable) as raised,
    ):
        connect(f"http://ann:hunter2@127.0.0.1:{port}/usage")

    assert "wrong password ***" in str(raised.value)


def test_the_drivers_own_warnings_do_not_reach_the_apps_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ClickHouseUnavailable):
        connect(f"http://127.0.0.1:{free_port()}/usage")

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# Answers and inserts.


def test_a_query_gives_columns_types_and_rows(client: ClickHouse) -> None:
    result = client.query("SELECT {number:UInt8} AS n, {text:String} AS t", {"number": 7, "text": "a'b"})

    assert (result.columns, result.types, result.rows) == (("n", "t"), ("UInt8", "String"), [(7, "a'b")])


def test_a_query_without_rows_has_its_columns_all_the_same(client: ClickHouse) -> None:
    result = client.query("SELECT {number:UInt8} AS n, 'x' AS t WHERE 0 -- nothing", {"number": 7})

    assert (result.columns, result.types, result.rows) == (("n", "t"), ("UInt8", "String"), [])


def test_an_encoded_batch_is_stored_as_it_is_however_often_it_is_sent(database: ClickHouse) -> None:
    database.command("CREATE TABLE named (n UInt64, t String, m Map(String, String)) ENGINE = MergeTree ORDER BY n "
                     "SETTINGS non_replicated_deduplication_window = 10")  # fmt: skip
    columns: list[list[Any]] = [[0, 2**64 - 1], ["ä\0", ""], [{"k": "v"}, {}]]
    names, types = ["n", "t", "m"], ["UInt64", "String", "Map(String, String)"]
    block = encode_native(names, types, columns)

    for _ in range(3):
        database.insert_native("named", names, block, token="a")

    assert database.query("SELECT * FROM named ORDER BY n").rows == list(zip(*columns, strict=True))


INSERT = """
import sys
from otel_usage.clickhouse import connect, load_driver

load_driver()
connect(sys.argv[1]).insert("moments", ["t"], ["DateTime64(9, 'UTC')"], [[1]], token="a")
print(sorted({"pandas", "pyarrow", "chdb"} & sys.modules.keys()))
"""


def test_an_app_that_inserts_never_loads_what_makes_data_frames(database: ClickHouse) -> None:
    database.command("CREATE TABLE moments (t DateTime64(9, 'UTC')) ENGINE = MergeTree ORDER BY t")

    printed = subprocess.run(
        [sys.executable, "-c", INSERT, repr(database.dsn)],
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    ).stdout

    assert printed == "[]\n"


def test_an_empty_batch_is_not_sent(database: ClickHouse) -> None:
    database.insert("no_such_table", ["n"], ["UInt8"], [[]], token="a")


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(["x"], id="a text for a number"),
        pytest.param([300], id="too high"),
        pytest.param([None], id="nothing"),
    ],
)
def test_a_batch_that_cannot_be_encoded_never_passes(database: ClickHouse, values: list[Any]) -> None:
    database.command("CREATE TABLE numbered (n UInt8) ENGINE = MergeTree ORDER BY n")

    with pytest.raises(ClickHouseError) as raised:
        database.insert("numbered", ["n"], ["UInt8"], [values], token="a")

    assert not isinstance(raised.value, ClickHouseUnavailable)


def test_an_insert_into_a_missing_table_may_pass(database: ClickHouse) -> None:
    with pytest.raises(ClickHouseUnavailable) as raised:
        database.insert("events", ["n"], ["UInt8"], [[1]], token="a")

    assert raised.value.code == 60


def test_a_missing_database_may_pass_and_is_created_when_asked(serve: ServeProcess) -> None:
    dsn = serve.dsn_of("made_on_demand")
    with pytest.raises(ClickHouseUnavailable) as raised:
        connect(dsn)

    client = connect(dsn, create_database=True)

    assert raised.value.code == 81
    engine = client.query("SELECT engine FROM system.databases WHERE name = currentDatabase()").rows
    assert engine == [("Atomic",)]
    client.command("DROP DATABASE made_on_demand")
    client.close()


def test_the_driver_is_loaded_with_the_first_connection_only() -> None:
    code = "import sys, otel_usage.clickhouse; sys.exit('clickhouse_connect' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_chdb_dsn_opens_the_engine_in_the_process_itself(tmp_path: Path) -> None:
    code = (
        "import sys; from otel_usage.clickhouse import connect; from otel_usage.schema import migrate;"
        "client = connect(sys.argv[1], create_database=True); migrate(client);"
        "print(client.query('SELECT count() FROM events').rows); client.close()"
    )

    run = subprocess.run(
        [sys.executable, "-c", code, f"chdb://{tmp_path}/data/usage"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert run.stdout == "[(0,)]\n"
