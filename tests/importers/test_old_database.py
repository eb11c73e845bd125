"""Databases of old systems: what cannot be opened is named with the cure, and nothing is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import OtelUsageError
from otel_usage.importers.old_database import OldDatabase, raw
from tests.importers.importing import run_import
from tests.importers.old_data import old_url as old_url
from tests.importers.old_data import visits, write, write_counters


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (
            "not a url",
            "--url is no URL of SQLAlchemy's, expected one such as sqlite:////srv/app/db.sqlite3, ",
        ),
        (
            "oracel://host/db",
            "--url begins with 'oracel', for which there is no driver, expected one such as ",
        ),
        (
            "sqlite+aiosqlite:///x.db",
            "--url names 'sqlite+aiosqlite', a driver for asyncio; name one that is not",
        ),
        (
            "mysql+mysqldb://u:hidden@h/d",
            "needs the driver MySQLdb. Install it with: pip install 'mysqlclient'",
        ),
        (
            "sqlite:///missing.db",
            "sqlite:///missing.db: there is no such file, expected the path of a SQLite database",
        ),
    ],
)
def test_a_url_that_cannot_be_used_is_named_with_the_cure(
    usage: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, error: str
) -> None:
    monkeypatch.chdir(tmp_path)

    ran = run_import(usage, "djaffar", "--url", url)

    assert ran.code == 2
    assert error in ran.errors
    assert "hidden" not in ran.errors
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_named(usage: ClickHouse, tmp_path: Path) -> None:
    (tmp_path / "old.db").write_text("not a database, but a text that is long enough" * 50)

    ran = run_import(usage, "djaffar", "--url", f"sqlite:///{tmp_path}/old.db")

    assert ran.code == 1
    assert "cannot be read: file is not a database. Look at the URL and the rights of its user" in ran.errors


def test_nothing_can_be_written(old_url: str) -> None:
    write(old_url, visits(), [])
    database = OldDatabase(old_url)

    with pytest.raises(sa.exc.DBAPIError), database._engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM visit"))

    database.close()


def test_a_zone_that_is_none_is_named(usage: ClickHouse, old_url: str) -> None:
    ran = run_import(usage, "djaffar", "--url", old_url, "--timezone", "../Mars")

    assert (ran.code, ran.errors) == (
        2,
        "otel-usage: --timezone is '../Mars', expected a name such as Europe/Berlin or UTC\n",
    )


def test_pages_go_along_a_key_of_several_columns(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_usage.importers.old_database.CHUNK_SIZE", 3)
    table = sa.Table(
        "pairs",
        sa.MetaData(),
        sa.Column("a", sa.Integer, primary_key=True),
        sa.Column("b", sa.String(5), primary_key=True),
    )
    write(old_url, table, [{"a": number % 3, "b": f"k{number}"} for number in range(10)])
    database = OldDatabase(old_url)
    found = database.table("pairs", "--table", ["a"])

    pages = list(database.pages(sa.select(raw(found.columns.b, "b")), found))

    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert len({row["b"] for page in pages for row in page}) == 10
    database.close()


def test_a_table_without_a_key_is_refused(old_url: str) -> None:
    write(old_url, sa.Table("plain", sa.MetaData(), sa.Column("visit_key", sa.String(40))), [])
    database = OldDatabase(old_url)

    with pytest.raises(
        OtelUsageError, match="'plain' has no primary key, by which its rows could be told apart"
    ):
        database.table("plain", "--table", ["visit_key"])

    database.close()


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from otel_usage.cli import main\n"
        "main(['import', 'turbogears', '--url', 'sqlite:///x.db'])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (
        1,
        "otel-usage: import turbogears needs sqlalchemy. Install it with: pip install 'otel-usage[sqlalchemy]'\n",
    )


def test_a_dry_run_reads_and_stores_nothing(usage: ClickHouse, old_url: str) -> None:
    write_counters(old_url)

    ran = run_import(usage, "trackable", "--url", old_url, "--table", "shop_productdaily", "--dry-run")

    assert ran.output == "shop_productdaily: 2 counters: 2 new, 0 already there, 0 refused\n"
    assert usage.query("SELECT count() FROM events").rows == [(0,)]
    assert usage.query("SELECT count() FROM imports").rows == [(0,)]
