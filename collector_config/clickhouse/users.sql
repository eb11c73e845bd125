-- The ClickHouse accounts of otel_usage, each with what its part does and nothing more.
--
-- Run by an account that manages access, before or after `otel-usage migrate`, and again whenever this file changes:
-- every statement may be repeated. A right that a later version no longer gives is taken away by hand.
-- Nobody can log in until an account has a password: no text has the hash that stands here. With docker compose,
-- accounts.sh beside this file gives them; elsewhere
--     ALTER USER otel_usage_writer IDENTIFIED WITH sha256_password BY '…'
-- The database is `otel_usage`; put another name in its place if yours has one.

-- Apps that write directly: OTEL_USAGE_DSN=http://otel_usage_writer:…@host:8123/otel_usage
-- The driver asks for the settings when it connects. To insert is enough: views run with the rights of the account
-- that made them.
CREATE USER IF NOT EXISTS otel_usage_writer
    IDENTIFIED WITH sha256_hash BY '0000000000000000000000000000000000000000000000000000000000000000';
GRANT INSERT ON otel_usage.events TO otel_usage_writer;
GRANT INSERT ON otel_usage.rejected_events TO otel_usage_writer;
GRANT SELECT ON otel_usage.schema_migrations TO otel_usage_writer;
GRANT SELECT ON system.settings TO otel_usage_writer;

-- The Collector's exporter, with `create_schema: false`. It describes the table, which INSERT allows, and inserts.
CREATE USER IF NOT EXISTS otel_usage_collector
    IDENTIFIED WITH sha256_hash BY '0000000000000000000000000000000000000000000000000000000000000000';
GRANT INSERT ON otel_usage.otel_traces TO otel_usage_collector;

-- Grafana, and with it everybody who may edit a panel: they write any SQL that they like.
-- `readonly = 1` allows no change of settings but that of max_execution_time, which Grafana's data source sends with
-- each query: its own 60 seconds, and 5 that its driver adds.
CREATE USER IF NOT EXISTS otel_usage_grafana
    IDENTIFIED WITH sha256_hash BY '0000000000000000000000000000000000000000000000000000000000000000';
ALTER USER otel_usage_grafana SETTINGS
    readonly = 1,
    max_execution_time = 30 MAX 65 CHANGEABLE_IN_READONLY,
    max_memory_usage = 4000000000,
    max_rows_to_read = 2000000000,
    max_result_rows = 100000,
    max_concurrent_queries_for_user = 20;
GRANT SELECT ON otel_usage.* TO otel_usage_grafana;

-- `otel-usage` on the command line: migrate, report, doctor, forget, export-person, rebuild, import, copy.
-- The views that it makes read and insert with its rights: without this account, or these rights, every insert is
-- refused until they are there again.
-- The system tables show whether inserts and mutations still run.
CREATE USER IF NOT EXISTS otel_usage_migrator
    IDENTIFIED WITH sha256_hash BY '0000000000000000000000000000000000000000000000000000000000000000';
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, ALTER TABLE, TRUNCATE, OPTIMIZE, SELECT, INSERT
    ON otel_usage.* TO otel_usage_migrator;
GRANT SELECT ON system.settings TO otel_usage_migrator;
GRANT SELECT ON system.processes TO otel_usage_migrator;
GRANT SELECT ON system.mutations TO otel_usage_migrator;
GRANT SELECT ON system.parts TO otel_usage_migrator;
