"""Whoever follows docs/migrating/flask-track-usage.md gets what it says: each command and each program of it runs."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.docs_tables import DOCS, ROOT
from tests.importers.tracked_requests import full_row, tracked, write_requests
from tests.serving import ServeProcess

PAGE = (DOCS / "migrating" / "flask-track-usage.md").read_text("utf-8")
OLD_DATABASE = "sqlite:////srv/app/usage.db"
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Return the words of each command of the page, in their order."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return [shlex.split(line.removeprefix("$ ")) for line in lines]


def run(words: Sequence[str | Path], environ: dict[str, str], *, stdin: str = "") -> str:
    """Run a command and return what it prints; it must succeed."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [str(word) for word in words],
        env={**clean, "PYTHONPATH": str(ROOT), **environ},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), words
    return done.stdout


def section(heading: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.fixture
def environ(serve: ServeProcess, usage: ClickHouse) -> dict[str, str]:
    """The variables that the page exports, with the server of the tests."""
    exported = dict(words[1].split("=", 1) for words in commands() if words[0] == "export")
    assert exported["OTEL_USAGE_DSN"] == "http://localhost:8123/otel_usage"
    return {**exported, "OTEL_USAGE_DSN": serve.dsn_of(usage.dsn.database)}


def test_the_commands_bring_each_old_request_along_once(
    environ: dict[str, str], usage: ClickHouse, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/usage.db"
    write_requests(url, full_row("2.0"), tracked(2), tracked(3, status=404))
    outputs = [
        run([BIN / words[0], *(word.replace(OLD_DATABASE, url) for word in words[1:])], environ)
        for words in commands()
        if words[0] == "otel-usage" and words[1] != "serve"
    ]

    dry, first, again, report, _doctor = outputs
    assert dry.startswith("flask_usage: 3 requests: 3 stored") or "3" in dry
    assert first == "flask_usage: 3 requests: 3 stored, 0 already there, 0 refused\n"
    assert again == "flask_usage: 3 requests: 0 stored, 3 already there, 0 refused\n"
    assert "/p/7" in report
    assert usage.query(
        "SELECT count(), uniqExact(event_id) FROM events WHERE event_name = 'request'"
    ).rows == [(3, 3)]


def test_what_is_installed_exists() -> None:
    (extras,) = re.findall(r"pip install 'otel-usage\[(.*)\]'", PAGE)

    known = importlib.metadata.metadata("otel-usage").get_all("Provides-Extra") or []

    assert set(extras.split(",")) <= set(known)


def test_the_changed_lines_are_the_old_ones_with_another_package() -> None:
    (change,) = blocks("diff")
    old = [line[1:] for line in change.splitlines() if line.startswith("-")]
    new = [line[1:] for line in change.splitlines() if line.startswith("+")]
    shop = (ROOT / "tests" / "flask" / "ported_shop.py").read_text("utf-8")

    exec("\n".join(new), {})

    assert new == [line.replace("flask_track_usage", "otel_usage.flask.compat") for line in old]
    assert new[0] in shop.splitlines()


def test_the_whole_app_tracks_all_but_its_internal_pages(environ: dict[str, str]) -> None:
    (program,) = (block for block in blocks("python") if "TrackUsage(app" in block)
    asking = (
        "\nimport otel_usage.flask.handover\notel_usage.flask.handover.WAIT_SECONDS = 60.0"  # on a busy machine
        "\napp.testing = True\nclient = app.test_client()\n"
        "for path in ('/product/250', '/internal/jobs', '/nowhere'):\n    client.get(path)\n"
        "print([(r['path'], r['status'], r['view_args'], r['track_var']) for r in requests])\n"
    )

    output = run([sys.executable, "-"], environ, stdin=program + asking)

    assert output == "[('/product/250', 200, {'number': 250}, {'shelf': 2}), ('/nowhere', 404, None, {})]\n"


def test_the_questions_are_answered_for_imported_requests(
    environ: dict[str, str], usage: ClickHouse, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/usage.db"
    write_requests(url, tracked(1), tracked(2))
    run([BIN / "otel-usage", "import", "flask-track-usage", "--url", url], environ)
    (program,) = (block for block in blocks("python") if "get_sum" in block)

    output = run([sys.executable, "-"], environ, stdin=program + "\nprint_day(2026, 3, 10)\n")

    page = "http://shop.example/p/7?utm_source=news"
    assert output.splitlines() == [
        f"2026-03-10 00:00:02 200 {page}",
        f"2026-03-10 00:00:01 200 {page}",
        f"2026-03-10 00:00:00 {page} 2 0",
    ]


def test_each_name_of_the_page_is_in_the_modules() -> None:
    modules = [importlib.import_module(f"otel_usage.flask.{name}") for name in ("compat", "storages")]
    names = set(
        re.findall(
            r"`(TrackUsage|(?:[A-Z]\w+)?(?:Storage|Writer)|sum[A-Z]\w+)\b", section("Functions and classes")
        )
    )

    assert len(names) >= 20
    assert [name for name in sorted(names) if not any(hasattr(each, name) for each in modules)] == []
