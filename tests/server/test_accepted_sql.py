"""Statements that people, drivers and our own schema send: every one passes the guard and runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.http import ask
from tests.serving import ServeProcess

DATABASE = "accepted_sql"

STATEMENTS = [
    # What drivers ask for when they start.
    "SELECT version(), timezone()",
    "SELECT name, value, readonly FROM system.settings",
    "SELECT 1 AS check",
    "SELECT currentDatabase(), currentUser(), hostName(), uptime()",
    "SELECT name, type, default_kind FROM system.columns WHERE database = currentDatabase() AND table = 'events'",
    "SELECT name FROM system.tables WHERE engine = 'MergeTree' AND database = 'otel_usage'",
    "SELECT database, table, sum(rows), formatReadableSize(sum(bytes_on_disk)) FROM system.parts GROUP BY ALL",
    "SHOW DATABASES",
    "SHOW TABLES",
    "SHOW TABLES LIKE 'e%'",
    "SHOW CREATE TABLE events",
    "SHOW COLUMNS FROM events",
    "DESCRIBE TABLE events",
    "DESC events",
    "EXISTS TABLE events",
    "EXISTS DATABASE accepted_sql",
    "EXPLAIN SELECT * FROM events WHERE service = 'shop'",
    "EXPLAIN indexes = 1 SELECT * FROM events WHERE service = 'shop'",
    "CHECK TABLE events",
    # Queries.
    "SELECT 1;",
    "-- a comment; with 'quotes\nSELECT 1 /* and file('x') */ AS a",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "WITH recent AS (SELECT * FROM events), 5 AS n SELECT count() FROM recent LIMIT n",
    "SELECT 'file(''x''); DROP TABLE events -- ' AS text, 'INTO OUTFILE' AS other, '\u00e9 \u65e5\u672c' AS more",
    "SELECT url FROM (SELECT 'a' AS url) FORMAT JSONEachRow SETTINGS max_threads = 1",
    "SELECT toStartOfHour(ts) AS hour, uniqCombined64(14)(visit_key), quantilesDD(0.01, 0.5, 0.95)(duration) "
    "FROM events WHERE ts >= now64(9) - INTERVAL 7 DAY GROUP BY hour ORDER BY hour WITH FILL STEP INTERVAL 1 HOUR",
    "SELECT argMaxMerge(path), uniqCombined64Merge(14)(visits) FROM states GROUP BY day WITH TOTALS",
    "SELECT arrayMap(x -> x + 1, [1, 2]), arrayFilter((x, y) -> x > y, [1], [0]), mapKeys(attrs) FROM events",
    "SELECT windowFunnel(3600)(toUInt64(toUnixTimestamp64Milli(ts)), stage = 1, stage = 2) FROM events",
    "SELECT sum(n) OVER (PARTITION BY service ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM events",
    "SELECT row_number() OVER w FROM events WINDOW w AS (ORDER BY ts)",
    "SELECT * EXCEPT (attrs) REPLACE (toString(n) AS n) FROM events ORDER BY ALL LIMIT 1 BY service",
    "SELECT COLUMNS('^s') APPLY(toString) FROM events",
    "SELECT CAST(1 AS Nullable(UInt8)), 1::Int64, toDateTime64('2026-01-01 00:00:00', 9, 'UTC')",
    "SELECT if(1 IN (1, 2), 'a', 'b'), EXTRACT(YEAR FROM today()), 5 NOT IN (SELECT n FROM events), (1, 2).1",
    "SELECT dateDiff('day', today(), toDate('2026-01-01')), INTERVAL '1' DAY, DATE '2026-01-01', hex(trace_id) FROM events",
    "SELECT * FROM numbers(3) AS n JOIN (SELECT 1 AS number) AS m USING (number) SETTINGS join_use_nulls = 1",
    "SELECT * FROM generateSeries(1, 3)",
    "SELECT * FROM values('a Int8, b String', (1, 'x'), (2, 'y'))",
    "SELECT kv.1 AS name FROM events ARRAY JOIN [('a', 'b')] AS kv",
    "SELECT count() FROM events PREWHERE n > 0 WHERE (n > 1)",
    "SELECT CASE WHEN (n > 1) THEN (1) ELSE (2) END, (SELECT max(n) FROM events) FROM events QUALIFY (n > 0)",
    "SELECT * FROM by_service(wanted = 'shop')",
    "SELECT quantile(0.5)(n), countIf(n > 1), sumMap(map('a', 1)), groupArraySample(2)(n), anyLastOrNullIf(n, 1) FROM events",
    # Schema.
    "CREATE TABLE made (a UInt8, b String DEFAULT concat('x', 'y') CODEC(ZSTD(3)), d String ALIAS (hex(b)), "
    "e Nested(f UInt8), ts DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(3)), INDEX ix (a, b) TYPE minmax GRANULARITY 1, "
    "INDEX iy b TYPE bloom_filter(0.01) GRANULARITY 1, PROJECTION p (SELECT a, count() GROUP BY a), "
    "CONSTRAINT c CHECK (a < 5)) ENGINE = MergeTree PARTITION BY (a) PRIMARY KEY (a) ORDER BY (a, b) "
    "TTL toDateTime(ts) + INTERVAL 1 DAY DELETE SETTINGS non_replicated_deduplication_window = 10",
    "CREATE TABLE IF NOT EXISTS accepted_sql.replaced (a UInt8, v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY a",
    "CREATE OR REPLACE TABLE remade (a UInt8) ENGINE = SummingMergeTree ORDER BY a",
    "CREATE TABLE copied AS events",
    "CREATE TABLE selected ENGINE = Memory AS SELECT 1 AS a",
    "CREATE VIEW viewed AS SELECT service, count() AS n FROM events GROUP BY service",
    "CREATE OR REPLACE VIEW viewed2 (a UInt8) AS SELECT toUInt8(1) AS a",
    "CREATE MATERIALIZED VIEW states_mv TO states AS SELECT toDate(ts) AS day, argMaxState(service, ts) AS path, "
    "uniqCombined64State(14)(visit_key) AS visits FROM events GROUP BY day",
    "CREATE DATABASE IF NOT EXISTS accepted_sql_2 ENGINE = Atomic",
    "ALTER TABLE events ADD COLUMN IF NOT EXISTS added LowCardinality(String) DEFAULT ''",
    "ALTER TABLE events MODIFY TTL toDateTime(ts) + INTERVAL 400 DAY",
    "ALTER TABLE events MODIFY SETTING ttl_only_drop_parts = 1",
    "ALTER TABLE events ADD INDEX ix_new (service) TYPE set(100) GRANULARITY 1",
    "ALTER TABLE events MODIFY COMMENT 'all events'",
    "ALTER TABLE events DELETE WHERE n = 99 SETTINGS mutations_sync = 2",
    "ALTER TABLE events UPDATE n = n + 1 WHERE service = 'none' SETTINGS mutations_sync = 2",
    "ALTER TABLE events DROP PARTITION 202001",
    "ALTER TABLE events ATTACH PARTITION 202001 FROM other",
    "DELETE FROM events WHERE n = 98",
    "OPTIMIZE TABLE events FINAL",
    "TRUNCATE TABLE other",
    "EXCHANGE TABLES events AND other",
    "RENAME TABLE other TO other2",
    "DROP VIEW IF EXISTS nothing",
    "DROP TABLE other SYNC",
    "DROP DATABASE IF EXISTS accepted_sql_3",
    # Inserts.
    "INSERT INTO events (service, n) VALUES ('shop', 1), ('it''s; file(''x'')', 2)",
    "INSERT INTO events (service, n) SELECT 'shop', number FROM numbers(3)",
    'INSERT INTO accepted_sql.events (service, n) FORMAT JSONEachRow\n{"service": "a;b", "n": 1}\n{"service": "c", "n": 2}',
    "INSERT INTO events (service, n) SETTINGS async_insert = 0, insert_deduplication_token = 'x' FORMAT CSV\n'a;',1\n",
    "INSERT INTO events (service, n) FORMAT Values ('a', 1 + 1)",
    "/* by hand */ INSERT INTO events (service, n) FORMAT TabSeparated\na\t1\n",
    # Settings.
    "SELECT 1 SETTINGS max_execution_time = 5, log_comment = 'it''s', session_timezone = 'UTC'",
    "SET max_threads = 2",
    "USE accepted_sql",
]


@pytest.fixture(autouse=True)
def tables(serve: ServeProcess) -> Iterator[None]:
    ask(serve, f"CREATE DATABASE {DATABASE} ENGINE = Atomic")
    for sql in (
        "CREATE TABLE events (ts DateTime64(9, 'UTC') DEFAULT now64(9), trace_id FixedString(16), service String, "
        "n Int64, stage UInt8, visit_key UInt64, duration UInt64, attrs Map(String, String)) "
        "ENGINE = MergeTree PARTITION BY toYYYYMM(ts) ORDER BY (service, ts)",
        "CREATE TABLE other AS events",
        "CREATE TABLE states (day Date, path AggregateFunction(argMax, String, DateTime64(9, 'UTC')), "
        "visits AggregateFunction(uniqCombined64(14), UInt64)) ENGINE = AggregatingMergeTree ORDER BY day",
        "CREATE VIEW by_service AS SELECT * FROM events WHERE service = {wanted:String}",
    ):
        ask(serve, sql, {"database": DATABASE})
    yield
    ask(serve, f"DROP DATABASE {DATABASE} SYNC")


@pytest.mark.parametrize("sql", STATEMENTS)
def test_an_ordinary_statement_runs(serve: ServeProcess, sql: str) -> None:
    answer = ask(serve, sql, {"database": DATABASE}, check=False)

    assert answer.status == 200, answer.text
