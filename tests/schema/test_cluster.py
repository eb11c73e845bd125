"""The cluster form: what the statements of the migrations become, and when `migrate --cluster` must refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import ClickHouseError, SchemaError, SettingError
from otel_usage.schema import load_migrations, migrate, migrate_database
from otel_usage.schema.cluster import OneServer, parse_cluster, turn
from tests.schema.cluster_golden import CLUSTER, DATABASE, GOLDEN, golden_text
from tests.serving import ServeProcess

FORM = parse_cluster(CLUSTER, DATABASE)
ALL = turn(FORM, [statement for migration in load_migrations() for statement in migration.statements])


def statements_of(start: str) -> list[str]:
    """Return the statements of the cluster form that begin so."""
    return [statement for statement in ALL if statement.startswith(start)]


def test_the_golden_file_holds_the_complete_ddl() -> None:
    assert GOLDEN.read_text("utf-8") == golden_text(), (
        "Look at what changed: python -m tests.schema.cluster_golden"
    )


def test_a_dry_run_prints_the_golden_file(serve: ServeProcess) -> None:
    report = migrate_database(serve.dsn_of(DATABASE), cluster=CLUSTER, dry_run=True)

    assert "".join(f"{line}\n" for line in report.lines()) == GOLDEN.read_text("utf-8")


def test_every_statement_passes_the_parser_of_the_engine(database: ClickHouse) -> None:
    # `serve` would not run a statement over a cluster; this function reads one and writes it anew.
    statements = [*ALL, *FORM.prepare, *FORM.settle("events"), *FORM.drop("events")]
    parsed = database.query(
        "SELECT formatQuery(arrayJoin({statements:Array(String)}))", {"statements": statements}
    ).rows

    assert len(parsed) == len(statements) > 60
    assert all("ON CLUSTER" in text for (text,) in parsed)


def test_the_parser_of_the_engine_refuses_what_is_wrong(database: ClickHouse) -> None:
    for wrong in (ALL[0].replace("ENGINE =", "ENGINE", 1) + ")", ALL[0].replace("ON CLUSTER", "ON", 1)):
        with pytest.raises(ClickHouseError, match="Syntax error"):
            database.query("SELECT formatQuery({statement:String})", {"statement": wrong})


def test_every_statement_is_for_all_servers_and_names_the_database_of_each_table() -> None:
    for statement in ALL:
        text = re.sub(r"'[^']*'", "''", statement)

        assert "ON CLUSTER ''" in text
        assert re.match(
            rf"(CREATE [A-Z ]+ IF NOT EXISTS|CREATE OR REPLACE TABLE|ALTER TABLE) {DATABASE}\.", text
        )
        assert not re.search(rf"\b(FROM|JOIN|TO) (?!{DATABASE}\.)\w", text), text


def test_every_table_of_rows_is_replicated_and_remembers_its_tokens_for_a_week() -> None:
    for statement in statements_of("CREATE TABLE"):
        if "ENGINE = Distributed" in statement:
            continue
        assert re.search(
            r"ENGINE = Replicated\w*MergeTree\('/clickhouse/tables/[^']+', '[^']*\{replica\}'", statement
        )
        assert "replicated_deduplication_window_seconds = 604800" in statement
        assert "non_replicated" not in statement


def test_no_two_tables_have_one_path_in_keeper() -> None:
    paths = [
        path for text in statements_of("CREATE TABLE") for path in re.findall(r"MergeTree\('([^']+)'", text)
    ]

    assert len(paths) == len(set(paths)) > 10


def test_a_view_that_fills_reads_and_writes_on_its_own_shard() -> None:
    views = statements_of("CREATE MATERIALIZED VIEW")

    assert len(views) > 8
    for view in views:
        tables = re.findall(rf"\b(?:FROM|JOIN|TO) {DATABASE}\.(\w+)", view)
        assert len(tables) >= 2
        assert [table for table in tables if not table.endswith("_local")] == []


def test_a_plain_view_reads_what_is_over_all_shards() -> None:
    assert [view for view in statements_of("CREATE VIEW") if "_local" in view] == []


def test_events_lie_by_visit_and_what_has_none_by_trace() -> None:
    keys = dict(
        re.findall(
            r"ENGINE = Distributed\('\w+', '\w+', '(\w+)_local'(?:, (.*))?\)$",
            "\n".join(statements_of("CREATE TABLE")),
            re.MULTILINE,
        )
    )

    assert keys["events"] == "cityHash64(if(notEmpty(visit_key_bytes), visit_key_bytes, trace_id_bytes))"
    assert keys["visits_state"] == keys["funnel_stages_state"] == "cityHash64(visit_key_bytes)"
    # Their rows lie where the visits are: the engine must not look for them by a key of their own.
    others = keys.keys() - {"events", "rejected_events", "otel_traces", "visits_state", "funnel_stages_state"}
    assert len(others) > 5
    assert [name for name in others if not keys[name].endswith(" + ignore(rand())")] == []


def test_new_columns_come_to_the_shards_before_the_table_over_them() -> None:
    altered = [re.findall(r"ALTER TABLE usage\.(\w+)", statement)[0] for statement in statements_of("ALTER")]

    assert altered[:2] == ["events_local", "events"]


def test_a_table_over_the_shards_gives_up_their_constraint_after_them() -> None:
    local, over = FORM.statements("ALTER TABLE otel_traces DROP CONSTRAINT IF EXISTS views_come_first")

    assert local.startswith("ALTER TABLE usage.otel_traces_local ON CLUSTER 'usage_cluster' DROP CONSTRAINT ")
    assert over.startswith("CREATE OR REPLACE TABLE usage.otel_traces ON CLUSTER 'usage_cluster' AS ")
    made = [text for text in statements_of("CREATE TABLE") if " usage.otel_traces ON CLUSTER" in text]
    assert over.split(" AS ", 1)[1] == made[0].split(" AS ", 1)[1]


def test_a_rule_about_age_is_for_the_shards_alone() -> None:
    rule = "ALTER TABLE events MODIFY TTL toDateTime(timestamp) + INTERVAL 30 DAY"

    assert FORM.statements(rule) == (
        "ALTER TABLE usage.events_local ON CLUSTER 'usage_cluster' MODIFY TTL toDateTime(timestamp) + INTERVAL 30 DAY",
    )


def test_what_was_done_is_known_on_every_server() -> None:
    notebooks = [text for text in statements_of("CREATE TABLE") if "ReplacingMergeTree" in text]

    assert notebooks
    for text in notebooks:
        assert re.search(r"'/clickhouse/tables/usage/\w+', '\{shard\}-\{replica\}'", text)


def test_on_one_server_a_statement_stays_as_it_is() -> None:
    statement = load_migrations()[0].statements[0]

    assert turn(OneServer(), [statement]) == (statement,)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DROP TABLE events", id="no form of a migration"),
        pytest.param("CREATE TABLE IF NOT EXISTS a (b UInt8) ENGINE = MergeTree", id="no key to spread by"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_statement_that_cannot_be_turned_is_refused(statement: str) -> None:
    with pytest.raises(ValueError, match="no statement of a migration|nothing says by what"):
        FORM.statements(statement)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a'b",
        "a' ENGINE = Memory --",
        "a\\",
        "a`b",
        "a b",
        "a;b",
        "1a",
        "-a",
        "a\n",
        "a\x00b",
        "é",
        "{cluster}",
        pytest.param("a" * 129, id="too long"),
        pytest.param("a" * 10_000_000, id="10 MB"),
    ],
)
def test_a_name_that_would_not_stand_in_a_statement_is_refused(name: str) -> None:
    with pytest.raises(SettingError) as raised:
        parse_cluster(name, DATABASE)

    assert str(raised.value) == (
        f"The cluster is named {name[:100]!r}, expected letters, digits, _, - and . that begin with a letter or _"
    )


@pytest.mark.parametrize("name", ["usage", "usage-cluster.1", "_u", pytest.param("U" * 128, id="long")])
def test_names_as_they_stand_in_configurations_are_taken(name: str) -> None:
    assert parse_cluster(name, DATABASE).name == name


def test_a_server_that_knows_no_such_cluster_is_refused(database: ClickHouse) -> None:
    with pytest.raises(SchemaError) as raised:
        migrate(database, cluster=CLUSTER)

    assert str(raised.value).startswith("The server knows no cluster 'usage_cluster', only: ")
    assert database.query("SELECT name FROM system.tables WHERE database = currentDatabase()").rows == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_directory_is_no_server_of_a_cluster(tmp_path: Path, dry_run: bool) -> None:
    with pytest.raises(SettingError, match="a chdb:// DSN is no server"):
        migrate_database(f"chdb://{tmp_path}/data/{DATABASE}", cluster=CLUSTER, dry_run=dry_run)

    assert list(tmp_path.iterdir()) == []


def test_tables_of_one_server_are_not_spread_where_they_are(database: ClickHouse) -> None:
    migrate(database)

    for dry_run in (False, True):
        with pytest.raises(SchemaError) as raised:
            migrate(database, cluster=CLUSTER, dry_run=dry_run)

        assert str(raised.value) == (
            f"The database '{database.dsn.database}' has its tables on one server, and cannot be spread where it is. "
            "Name a new database in the DSN, and bring the events over with: otel-usage copy"
        )
