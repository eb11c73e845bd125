"""A Collector's batch that a killed server had under way is sent again, and counts once everywhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from otel_usage.schema.landing import LANDINGS, Landing, apply_landing
from tests.builders import build_event
from tests.databases import STATE_TABLES
from tests.landing import send_block
from tests.schema.test_otel_traces_once import a_batch, block_of, counts
from tests.server.test_after_a_kill import Servers, last_parts

BATCH = block_of(a_batch("v"))
OTHER_BATCH = block_of([build_event(at="2026-02-10T12:00:00", visit="x", is_new=True)])
"""Of another month, so that nothing merges the parts of the two."""


@pytest.mark.parametrize("landing", LANDINGS)
def test_a_batch_counts_once_whether_its_parts_came_or_not(tmp_path: Path, landing: Landing) -> None:
    servers = Servers(tmp_path / "data")
    try:
        client = servers.start()
        apply_landing(client, landing, None)
        for block in (OTHER_BATCH, BATCH):
            send_block(client, block)
        expected = counts(client)
        servers.kill()

        client = servers.start()
        send_block(client, BATCH)
        assert counts(client) == expected
        servers.kill()

        lost = last_parts(servers.data)
        assert len(lost) >= len(("events", "rejected_events", *STATE_TABLES))
        for part in lost.values():
            shutil.rmtree(part)
        client = servers.start()
        assert [view for view, number in counts(client).items() if number and number == expected[view]] == []
        for block in (BATCH, OTHER_BATCH):
            send_block(client, block)
        assert counts(client) == expected
    finally:
        servers.kill()
