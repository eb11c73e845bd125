"""A batch that a killed server had under way is sent again, and counts once: in the table and in every view."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.errors import OtelUsageError
from otel_usage.server.insert_tokens import forget_tokens_without_part
from tests.builders import build_event, build_stage, insert_events
from tests.databases import STATE_TABLES
from tests.serving import ServeProcess, start_serve

COUNTS = (
    ("events", "count()"),
    ("browsers_daily", "sum(requests)"),
    ("ips_daily", "sum(requests)"),
    ("pages_daily", "sum(requests)"),
    ("objects_daily", "sum(views)"),
    ("counters_daily", "sum(value)"),
    ("visits", "sum(requests)"),
    ("funnel_stages", "count()"),
    ("summaries_daily", "sum(hits)"),
)

BATCH = [
    build_event(visit="v", visitor="w", is_new=True),
    build_event("object_viewed", visit="v", object_type="product", object_id="7"),
    build_event("counter", object_type="post", object_id="1", counter_name="likes", counter_value=2),
    build_stage(1, "2026-03-10T12:00:00", visit="v"),
]
OTHER_BATCH = [build_event(at="2026-02-10T12:00:00", visit="x", is_new=True)]
"""Of another month, so that nothing merges the parts of the two."""


def counts(client: ClickHouse) -> dict[str, object]:
    return {view: client.query(f"SELECT {what} FROM {view}").rows[0][0] for view, what in COUNTS}


class Servers:
    """Starts a server on one directory again and again, and leaves none behind."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._running: ServeProcess | None = None

    def start(self) -> ClickHouse:
        self._running = start_serve(self.data)
        return connect(self._running.dsn)

    def kill(self) -> None:
        if self._running is not None:
            with self._running.process as process:
                process.kill()
            self._running = None


def last_parts(data: Path) -> dict[str, Path]:
    """Return the directory of the part that the last token of each table stands for, where it is still there."""
    found = {}
    for logs in data.glob("store/*/*/deduplication_logs"):
        lines = (logs / "deduplication_log_1.txt").read_text().splitlines()
        part = logs.parent / lines[-1].split("\t")[1] if lines else None
        if part is not None and part.is_dir():
            found[logs.parent.name] = part
    return found


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """A directory whose server was killed right after it took two batches, in the process that made its tables."""
    servers = Servers(tmp_path / "data")
    try:
        client = servers.start()
        insert_events(client, OTHER_BATCH, "other")
        insert_events(client, BATCH, "batch")
        servers.kill()
        yield servers
    finally:
        servers.kill()


def test_a_batch_that_had_arrived_before_the_kill_changes_nothing(servers: Servers) -> None:
    client = servers.start()
    expected = counts(client)

    insert_events(client, BATCH, "batch")

    assert counts(client) == expected
    assert all(expected.values())


def test_a_batch_whose_parts_never_came_is_taken_when_it_is_sent_again(servers: Servers) -> None:
    expected = counts(servers.start())
    servers.kill()
    lost = last_parts(servers.data)
    assert len(lost) >= 1 + len(STATE_TABLES)
    for part in lost.values():
        shutil.rmtree(part)

    client = servers.start()
    lacking = counts(client)
    insert_events(client, BATCH, "batch")
    insert_events(client, OTHER_BATCH, "other")

    assert [view for view, number in lacking.items() if number == expected[view]] == []
    assert counts(client) == expected


def write_log(data: Path, text: str, *parts: str, number: int = 1) -> Path:
    table = data / "store" / "0a1" / "0a1b"
    logs = table / "deduplication_logs"
    logs.mkdir(parents=True, exist_ok=True)
    for part in parts:
        (table / part).mkdir()
    log = logs / f"deduplication_log_{number}.txt"
    log.write_text(text)
    return log


@pytest.mark.parametrize(
    "part",
    ["202611_7_7_0", "202611_7_7_1", "202611_7_7_0_9", "202611_1_7_2", "202611_3_8_2", "202611_9_9_0"],
)
def test_a_token_whose_part_came_stays_taken(tmp_path: Path, part: str) -> None:
    log = write_log(tmp_path, "1\t202611_6_6_0\tt6\n1\t202611_7_7_0\tt7\n", part)

    assert forget_tokens_without_part(tmp_path) == 0
    assert log.read_text().count("\n") == 2


@pytest.mark.parametrize("part", ["tmp_insert_202611_7_7_0", "202611_1_6_1", "202612_7_7_0", "detached"])
def test_a_token_whose_part_never_came_is_free_again_and_only_once(tmp_path: Path, part: str) -> None:
    log = write_log(tmp_path, "1\t202611_7_7_0\tt7\n", part)

    assert [forget_tokens_without_part(tmp_path) for _ in range(2)] == [1, 0]
    assert log.read_text().splitlines()[1:] == ["2\t202611_7_7_0\tt7"]


def test_the_newest_log_that_has_a_line_counts(tmp_path: Path) -> None:
    write_log(tmp_path, "1\tall_1_1_0\tt1\n", number=2)
    newer = write_log(tmp_path, "1\tall_2_2_0\tt2\n", number=10)
    write_log(tmp_path, "", number=11)

    assert forget_tokens_without_part(tmp_path) == 1
    assert newer.read_text().endswith("2\tall_2_2_0\tt2\n")


@pytest.mark.parametrize("text", ["", "1\n", "no log\tat\tall\n", "2\tall_1_1_0\tt1\n", "1\tall\tt\n"])
def test_what_is_no_taken_token_is_left_alone(tmp_path: Path, text: str) -> None:
    log = write_log(tmp_path, text)

    assert forget_tokens_without_part(tmp_path) == 0
    assert log.read_text() == text


def test_a_log_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    log = write_log(tmp_path, "")
    log.unlink()
    log.mkdir()

    with pytest.raises(OtelUsageError, match=re.escape(str(log)) + ".* See the owner of that file"):
        forget_tokens_without_part(tmp_path)


def test_a_directory_without_an_engine_has_nothing_to_put_right(tmp_path: Path) -> None:
    assert forget_tokens_without_part(tmp_path / "new") == 0
