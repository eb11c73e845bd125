"""The migrations as files: what every one of them must be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import otel_usage.schema
from otel_usage.schema import Migration, load_migrations

FOLDER = Path(otel_usage.schema.__file__).parent / "migrations"
MIGRATIONS = [pytest.param(migration, id=str(migration)) for migration in load_migrations()]
TABLES = [
    pytest.param(migration, id=str(migration))
    for migration in load_migrations()
    if "MergeTree" in migration.sql
]


def test_the_versions_are_one_two_three_and_so_on() -> None:
    versions = [migration.version for migration in load_migrations()]

    assert versions == list(range(1, len(versions) + 1))


def test_every_file_in_the_folder_is_a_migration() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == [
        str(migration) for migration in load_migrations()
    ]


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_a_migration_says_what_it_is_for_and_can_be_run_again(migration: Migration) -> None:
    comment = re.split(r"\n(?=CREATE |ALTER )", migration.sql, maxsplit=1)[0]

    assert all(line.startswith("--") for line in comment.splitlines())
    for statement in migration.statements:
        assert re.match(
            r"CREATE [A-Z ]+ IF NOT EXISTS "
            r"|ALTER TABLE \w+\n(    ADD COLUMN IF NOT EXISTS .+\n?)+$"
            r"|ALTER TABLE \w+ DROP CONSTRAINT IF EXISTS \w+$",
            statement,
        )


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_a_migration_is_one_statement_or_a_family_of_plain_views(migration: Migration) -> None:
    assert len(migration.statements) == 1 or all(
        statement.startswith("CREATE VIEW ") for statement in migration.statements
    )


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_a_migration_names_no_database_and_has_no_text_that_would_cut_it(migration: Migration) -> None:
    statement = re.sub(r"^ *--.*$", "", migration.sql, flags=re.MULTILINE)

    assert not [text for text in re.findall(r"'[^'\n]*'", statement) if ";" in text or "--" in text]
    assert not re.search(r"\b(FROM|JOIN|TO|EXISTS) \w+\.\w+", statement)


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_no_view_is_altered(migration: Migration) -> None:
    # Its tokens would be others after the next restart, and a batch under way at that moment would count twice.
    assert not re.search(r"ALTER TABLE \w+_mv\b", migration.sql)


@pytest.mark.parametrize("migration", TABLES)
def test_every_table_remembers_the_tokens_of_its_inserts(migration: Migration) -> None:
    assert "non_replicated_deduplication_window = 10000" in migration.sql


def test_white_space_and_comments_do_not_change_a_checksum() -> None:
    first = Migration(1, "create_a", "-- A.\nCREATE TABLE a (b UInt8)")
    second = Migration(1, "create_a", "-- The table a.\nCREATE  TABLE a\n(b UInt8)\n")

    assert first.checksum == second.checksum


def test_another_type_changes_the_checksum() -> None:
    first = Migration(1, "create_a", "CREATE TABLE a (b UInt8)")
    second = Migration(1, "create_a", "CREATE TABLE a (b UInt16)")

    assert first.checksum != second.checksum
