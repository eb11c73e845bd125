"""Starting and stopping: one line when it works, one line when it does not, and nothing lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.server.http import Answer, ask, send
from tests.serving import ServeProcess, spawn_serve, start_serve, wait_for


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def test_the_ready_line_tells_where_everything_is(tmp_path: Path) -> None:
    http_port, otlp_port = free_port(), free_port()
    data = tmp_path / "my data"

    process = spawn_serve(data, "--http-port", str(http_port), "--otlp-port", str(otlp_port))
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    code, out, err = finished(process)

    assert line == (
        f"ready http=http://127.0.0.1:{http_port} otlp=http://127.0.0.1:{otlp_port} data='{data}' "
        f"dsn=http://127.0.0.1:{http_port}/otel_usage (loopback only)\n"
    )
    assert (code, out, err) == (0, "", "")


def test_it_listens_on_loopback_only(serve: ServeProcess) -> None:
    port = int(serve.http_url.rpartition(":")[2])

    addresses = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]

    assert f"0100007F:{port:04X}" in addresses
    assert f"00000000:{port:04X}" not in addresses


def test_the_schema_is_there_when_it_is_ready(serve: ServeProcess) -> None:
    tables = ask(serve, "SHOW TABLES").text.split()

    assert {"events", "browsers_daily", "schema_migrations"} <= set(tables)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_restart_on_the_same_directory_has_all_data(tmp_path: Path, number: int) -> None:
    first = start_serve(tmp_path)
    ask(first, "CREATE TABLE kept (a UInt32) ENGINE = MergeTree ORDER BY a")
    ask(first, "INSERT INTO kept SELECT number FROM numbers(1000)")
    first.process.send_signal(number)
    code, _, err = finished(first.process)

    second = start_serve(tmp_path)
    rows = ask(second, "SELECT count() FROM kept").text
    second.stop()

    assert (code, err, rows) == (0, "", "1000\n")


def test_what_was_accepted_is_finished_before_it_stops(tmp_path: Path) -> None:
    server = start_serve(tmp_path)
    ask(server, "CREATE TABLE slow (a UInt32) ENGINE = MergeTree ORDER BY a")
    answers: list[Answer] = []
    sql = "INSERT INTO slow SELECT number + sleepOnce FROM (SELECT number, sleep(3) AS sleepOnce FROM numbers(10))"
    insert = threading.Thread(target=lambda: answers.append(ask(server, sql, check=False)))
    insert.start()
    wait_for(
        lambda: "slow" in ask(server, "SELECT query FROM system.processes WHERE query LIKE 'INSERT%'").text,
        "the insert",
    )

    server.process.terminate()
    insert.join()
    code, _, err = finished(server.process)

    again = start_serve(tmp_path)
    rows = ask(again, "SELECT count() FROM slow").text
    again.stop()
    assert (answers[0].status, code, err, rows) == (200, 0, "", "10\n")


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    server = start_serve(tmp_path)
    endless = threading.Thread(
        target=lambda: pytest.raises(
            (OSError, HTTPException),
            ask,
            server,
            "SELECT sleep(1) FROM numbers(100) SETTINGS max_block_size = 1",
        )
    )
    endless.start()
    wait_for(lambda: "numbers(100)" in ask(server, "SELECT query FROM system.processes").text, "the query")

    server.process.terminate()
    wait_for(lambda: not accepts(server.http_url), "refusing connections")
    server.process.terminate()
    code, _, _ = finished(server.process)
    endless.join()

    assert code == 128 + signal.SIGTERM


def accepts(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def private_directories() -> set[Path]:
    """Return those of every `serve` of this user, also of one that was killed and has not come back."""
    return set(Path("/dev/shm").glob(f"otel-usage-{os.getuid()}-*"))


def test_a_kill_in_mid_insert_leaves_whole_batches_only(tmp_path: Path) -> None:
    of_others = private_directories()
    server = start_serve(tmp_path)
    ask(server, "CREATE TABLE torn (batch UInt32, a UInt32) ENGINE = MergeTree ORDER BY a")
    acknowledged: list[int] = []

    def insert() -> None:
        rows = "\n".join(str(number) for number in range(5000))
        for batch in range(10_000):
            body = "INSERT INTO torn FORMAT TSV\n" + rows.replace("\n", f"\t{batch}\n") + f"\t{batch}\n"
            try:
                answer = ask(server, body.replace("torn", "torn (a, batch)"), check=False)
            except (OSError, HTTPException):  # the kill may cut an answer in two
                return
            if answer.status == 200:
                acknowledged.append(batch)

    writer = threading.Thread(target=insert)
    writer.start()
    wait_for(lambda: len(acknowledged) >= 3, "three inserts")
    server.process.kill()
    writer.join()
    finished(server.process)

    again = start_serve(tmp_path)
    counts = dict(
        line.split("\t")
        for line in ask(again, "SELECT batch, count() FROM torn GROUP BY batch").text.splitlines()
    )
    own = {*(private_directories() - of_others), tmp_path / "bodies"}
    leftovers = [body for directory in own for body in directory.glob("body-*")]
    again.stop()

    assert set(counts.values()) == {"5000"}
    assert {str(batch) for batch in acknowledged} <= set(counts)
    assert leftovers == []


def test_a_directory_that_another_process_holds_is_named_in_one_line(serve: ServeProcess) -> None:
    code, out, err = finished(spawn_serve(serve.data, "--http-port", "0", "--otlp-port", "0"))

    assert (code, out) == (1, "")
    assert err == (
        f"otel-usage: The data directory {serve.data} is in use by process {serve.process.pid}. "
        "Stop that one, or choose another directory with --data\n"
    )


@pytest.mark.parametrize(
    ("option", "other"), [("--http-port", "--otlp-port"), ("--otlp-port", "--http-port")]
)
def test_a_port_in_use_is_named_in_one_line(
    serve: ServeProcess, tmp_path: Path, option: str, other: str
) -> None:
    port = serve.http_url.rpartition(":")[2]

    code, out, err = finished(spawn_serve(tmp_path, option, port, other, "0"))

    assert (code, out) == (1, "")
    assert err == (
        f"otel-usage: Cannot listen on 127.0.0.1:{port}: address already in use. Choose another port with {option}\n"
    )


def test_one_port_for_both_interfaces_is_refused_at_once(tmp_path: Path) -> None:
    port = str(free_port())

    code, out, err = finished(spawn_serve(tmp_path / "d", "--http-port", port, "--otlp-port", port))

    assert (code, out) == (2, "")
    assert err == (
        f"otel-usage: --http-port and --otlp-port are both {port}. Choose another port with --otlp-port\n"
    )
    assert not (tmp_path / "d").exists()


PROGRAM = """
import sys
from otel_usage.server.__main__ import main
from otel_usage.server import lifecycle, port
sys.argv[1:] = ["--data", sys.argv[1], "--http-port", "0", "--otlp-port", "0"]
{fault}
sys.exit(main())
"""
TAKEN_MEANWHILE = """
import socket
bind = port.Port.__init__
def taken(self, *arguments):
    bind(self, *arguments)
    if "--otlp-port" in arguments:
        self.rival = socket.socket()
        self.rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.rival.bind(self._listener.getsockname())
        self.rival.listen()
port.Port.__init__ = taken
"""
DIES_LATER = """
tick, count = port._UvicornServer.on_tick, []
async def dies(self, counter):
    if counter == 2:
        raise RuntimeError("no more")
    return await tick(self, counter)
port._UvicornServer.on_tick = dies
"""


def run_with(fault: str, data: Path) -> tuple[int, str, str]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(fault=fault), str(data)],
        capture_output=True,
        text=True,
        timeout=180,
    )
    return run.returncode, run.stdout, run.stderr


def test_it_is_not_ready_when_another_process_took_a_port_meanwhile(tmp_path: Path) -> None:
    code, out, err = run_with(TAKEN_MEANWHILE, tmp_path)

    assert (code, out) == (1, "")
    assert err.startswith("otel-usage: Cannot listen on 127.0.0.1:0: address already in use. ")
    assert err.endswith(" Choose another port with --otlp-port\n")


def test_a_port_that_dies_ends_the_process_with_one_line(tmp_path: Path) -> None:
    code, _, err = run_with(DIES_LATER, tmp_path)

    assert code == 1
    assert err.startswith("otel-usage: The server at http://127.0.0.1:")
    assert err.endswith(
        " has ended by itself (RuntimeError: no more). What was confirmed is stored; start it again\n"
    )
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["http://foo:1", "foo/bar", "*", "*.example.org", "", "a b", "foo:port"])
def test_a_host_that_no_request_can_name_is_refused(tmp_path: Path, name: str) -> None:
    code, out, err = finished(
        spawn_serve(tmp_path / "d", "--allow-host", name, "--http-port", "0", "--otlp-port", "0")
    )

    assert (code, out) == (2, "")
    assert err == (
        f"otel-usage: --allow-host is {name!r}, expected a name such as usage.example.org or usage.example.org:8123\n"
    )
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("host", ["999.1.1.1", "no.such.host.invalid", "203.0.113.1"])
def test_a_host_that_is_not_this_computer_is_told_apart_from_a_port(tmp_path: Path, host: str) -> None:
    code, _, err = finished(spawn_serve(tmp_path, "--host", host, "--http-port", "0", "--otlp-port", "0"))

    assert code == 1
    assert err.startswith(f"otel-usage: Cannot listen on {host}:0: ")
    assert err.endswith(". Choose an address of this computer with --host\n")


def test_a_port_that_is_none_is_named_in_one_line(tmp_path: Path) -> None:
    code, _, err = finished(spawn_serve(tmp_path, "--http-port", "70000", "--otlp-port", "0"))

    assert code == 1
    assert err.startswith("otel-usage: Cannot listen on 127.0.0.1:70000: ")
    assert err.count("\n") == 1


def test_a_directory_that_is_a_file_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")

    code, _, err = finished(spawn_serve(path, "--http-port", "0", "--otlp-port", "0"))

    assert code == 1
    assert err == (
        f"otel-usage: Cannot create the data directory {path}: file exists. Choose another one with --data\n"
    )


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_named_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    code, _, err = finished(spawn_serve(tmp_path, "--http-port", "0", "--otlp-port", "0"))

    tmp_path.chmod(0o700)
    assert (code, err) == (
        1,
        f"otel-usage: Cannot write into the data directory {tmp_path}: no permission. Choose another with --data\n",
    )


def test_a_missing_engine_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['chdb'] = None; sys.argv[1:] = ['--data', sys.argv[1], '--http-port', '0', '--otlp-port', '0'];"
        "from otel_usage.server.__main__ import main; sys.exit(main())"
    )

    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=180
    )

    assert run.returncode == 1
    assert run.stderr == "otel-usage: serve needs chdb. Install it with: pip install 'otel-usage[serve]'\n"


def test_importing_serve_needs_nothing_of_the_extra() -> None:
    program = (
        "import sys\n"
        "for name in ('chdb', 'starlette', 'uvicorn', 'lz4', 'zstandard'): sys.modules[name] = None\n"
        "from otel_usage.server.serve import ServeOptions, serve\n"
    )

    assert subprocess.run([sys.executable, "-c", program], timeout=180).returncode == 0


def test_a_config_file_of_the_working_directory_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.xml").write_text("<clickhouse><user_files_path>/</user_files_path><nonsense")
    monkeypatch.chdir(tmp_path)

    server = start_serve(Path("relative"))
    answer = send(server.http_url, "/healthz", method="GET")

    assert answer.status == 200
    assert server.data == tmp_path / "relative"
    assert server.stop() == 0
