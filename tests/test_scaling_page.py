"""What docs/scaling.md says: its commands run, its arithmetic is right, its configuration is one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4
from xml.etree import ElementTree

import pytest

from otel_usage.clickhouse import connect
from tests.databases import new_database
from tests.docs_tables import DOCS
from tests.schema.cluster_run import BACKUP
from tests.serving import ServeProcess

PAGE = (DOCS / "scaling.md").read_text("utf-8")
SECTIONS = re.split(r"^##+ ", PAGE, flags=re.MULTILINE)
CLUSTER_DSN, SERVER_DSN = (
    "http://migrator:secret@shard1-a:8123/usage",
    "http://migrator:secret@clickhouse:8123/otel_usage",
)
SHARDS = (1, 3, 30)


def commands(section: str) -> list[list[str]]:
    """Return the commands of a section, as words."""
    text = next(part for part in SECTIONS if part.startswith(f"{section}\n"))
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line.removeprefix("$ ")) for block in blocks for line in block.splitlines()]


def run(words: list[str], places: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the page, with other places in the stead of those that it names."""
    program, *arguments = [places.get(word, word) for word in words]
    assert program == "otel-usage"
    # Without what the tests themselves are told: `doctor` looks at all that begins like a setting.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-m", "otel_usage", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environ,
    )


@pytest.fixture
def server(serve: ServeProcess) -> Iterator[str]:
    """The DSN of a database that is not there yet."""
    dsn = serve.dsn_of(f"test_{uuid4().hex}")
    yield dsn
    client = connect(serve.dsn)
    client.command(f"DROP DATABASE IF EXISTS {dsn.rpartition('/')[2]} SYNC")
    client.close()


def test_all_commands_of_the_page_are_run_here() -> None:
    assert [part.splitlines()[0] for part in SECTIONS if "```console" in part] == [
        "Make the tables",
        "Upgrade without stopping",
        "From `otel-usage serve` to a server",
    ]


def test_the_tables_of_a_cluster_are_looked_at_and_made_where_there_is_one(server: str) -> None:
    look, make = (run(words, {CLUSTER_DSN: server}) for words in commands("Make the tables"))

    assert look.returncode == 0, look.stderr
    assert look.stdout.count("ENGINE = Distributed('usage_cluster', ") > 8
    # `serve` is no cluster; the statements themselves are run by tests/schema/test_cluster_run.py.
    assert make.returncode == 1
    assert "The server knows no cluster 'usage_cluster'" in make.stderr


def test_the_commands_of_an_upgrade_run(server: str) -> None:
    for words in commands("Upgrade without stopping"):
        finished = run(words, {SERVER_DSN: server})

        assert finished.returncode == 0, (words, finished.stdout, finished.stderr)


def test_the_commands_of_the_way_from_serve_to_a_server_run(serve: ServeProcess, server: str) -> None:
    with new_database(serve) as source:
        places = {SERVER_DSN: server, "http://localhost:8123/otel_usage": serve.dsn_of(source.dsn.database)}
        assert run(["otel-usage", "migrate", "--dsn", serve.dsn_of(source.dsn.database)], {}).returncode == 0

        for words in commands("From `otel-usage serve` to a server"):
            finished = run(words, places)

            assert finished.returncode == 0, (words, finished.stdout, finished.stderr)


def test_the_statement_of_the_backup_is_the_one_that_is_run_on_the_engine() -> None:
    assert f"```text\n{BACKUP.format(database='otel_usage')}\n```" in PAGE


def test_the_configuration_is_whole_and_names_the_cluster_of_the_commands() -> None:
    block = re.findall(r"^```xml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    configuration = ElementTree.fromstring(block)

    assert configuration.find("remote_servers/usage_cluster/shard/internal_replication") is not None
    assert {macro.tag for macro in configuration.findall("macros/*")} == {"shard", "replica"}
    assert all("usage_cluster" in words for words in commands("Make the tables"))


def cells(row: str) -> list[str]:
    found = re.search(rf"^\| {re.escape(row)} \| (.*) \|$", PAGE, re.MULTILINE)
    assert found, row
    return [cell.strip() for cell in found[1].split(" | ")]


def rounded(number: float, digits: int) -> str:
    """Return a number with so many digits that count, and commas."""
    places = digits - len(str(int(number)))
    return f"{round(number, places):,.{max(places, 0)}f}"


EVENTS_A_DAY = 33_000_000
VISITS_OF_A_WEEK = EVENTS_A_DAY / 5.3 * 38


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("events a second, at most", [rounded(17_300 * 8 / 2 * n, 2 if n == 1 else 3) for n in SHARDS]),
        (
            "events a day, so that a week of `visits` fits into memory",
            [f"{EVENTS_A_DAY * n:,}" for n in SHARDS],
        ),
        (
            "those events, a second on average",
            [rounded(EVENTS_A_DAY * n / 86_400, 2 if n == 1 else 3) for n in SHARDS],
        ),
        ("disk a day, for each replica", [f"{rounded(EVENTS_A_DAY * 80 * n / 1e9, 2)} GB" for n in SHARDS]),
        (
            "disk for 400 days, for each replica",
            [f"{rounded(EVENTS_A_DAY * 80 * 400 * n / 1e12, 2)} TB" for n in SHARDS],
        ),
        ("report `visits` of a week: time", [f"{VISITS_OF_A_WEEK * 1.05e-6 / 16:.0f} s"] * 3),
        ("report `visits` of a week: memory of each shard", [f"{VISITS_OF_A_WEEK * 236 / 1e9:.0f} GB"] * 3),
        ("daily sums: time, at most", [f"{0.039 * n:.2g} s" for n in SHARDS]),
        (
            "a question to the events of a day: time",
            [f"{0.349 * EVENTS_A_DAY / 20e6 / 8:.2f} s"] * 3,
        ),
    ],
)
def test_the_sizes_follow_from_what_was_measured(row: str, expected: list[str]) -> None:
    assert cells(row) == expected


def test_the_other_numbers_follow_too() -> None:
    small_inserts = int(16 / 2 / 2 * 1000 / 31)

    assert f"takes {small_inserts} small ones a second" in PAGE
    assert [cells(str(n)) for n in SHARDS] == [[f"{5_000 * n:,}"] for n in SHARDS]
    for name, hours in (("an hour", 1), ("a day", 24), ("a week", 168)):
        assert cells(name) == [f"{rounded(1000 * 1000 * 3600 * hours / 1e9, 2 if hours < 168 else 3)} GB"]


@pytest.mark.parametrize(
    ("figure", "page"),
    [
        ("17,300", "decisions/0004-summaries-are-one-hourly-table.md"),
        ("all tables, of which the summaries 3.3 | 80.0", "benchmarks.md"),
    ],
)
def test_a_figure_that_is_taken_from_another_page_stands_there(figure: str, page: str) -> None:
    assert figure in (DOCS / page).read_text("utf-8")
