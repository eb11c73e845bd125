"""Statements that reach outside of the engine: every one is refused, and nothing happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.http import ask
from tests.serving import ServeProcess

SECRET = "hunter2-the-secret"

ATTACKS = [
    # Scalar functions that read files.
    "SELECT file('{secret}')",
    "SELECT FILE ('{secret}')",
    "SELECT `file`('{secret}')",
    "SELECT \"file\"('{secret}')",
    "SELECT `fi\\x6ce`('{secret}')",
    "SELECT \"fil\\x65\"('{secret}')",
    "SELECT file/**/('{secret}')",
    "SELECT file -- comment\n ('{secret}')",
    "SELECT file /* a /* nested */ ('{secret}')",
    "SELECT file\n\t\r\n('{secret}')",
    "SELECT 1.file('{secret}')",
    "SELECT 1file('{secret}')",
    "SELECT upper(lower(file('{secret}')))",
    "SELECT (SELECT (SELECT file('{secret}')))",
    "WITH file('{secret}') AS x SELECT x",
    "WITH x AS (SELECT file('{secret}') AS c) SELECT c FROM x",
    "SELECT 1 WHERE file('{secret}') != ''",
    "SELECT 1 ORDER BY file('{secret}')",
    "SELECT count() FROM numbers(1) HAVING file('{secret}') != ''",
    "SELECT arrayMap(x -> file(x), ['{secret}'])",
    "SELECT arrayMap(file, ['{secret}'])",
    "SELECT arrayMap(`file`, ['{secret}'])",
    "SELECT arrayFirst(file, ['{secret}'])",
    "SELECT * APPLY file FROM (SELECT '{secret}' AS a)",
    "SELECT * APPLY(file) FROM (SELECT '{secret}' AS a)",
    "SELECT COLUMNS('a') APPLY file FROM (SELECT '{secret}' AS a)",
    "SELECT if(1, file('{secret}'), '')",
    "SELECT [file('{secret}')]",
    "SELECT {{'a': file('{secret}')}}",
    "SELECT CASE WHEN 1 THEN file('{secret}') END",
    "SELECT 1 UNION ALL SELECT length(file('{secret}'))",
    "(SELECT file('{secret}'))",
    "EXPLAIN SYNTAX SELECT file('{secret}')",
    "EXPLAIN SELECT * FROM numbers(1) WHERE file('{secret}') = ''",
    "SELECT filesystemAvailable()",
    "SELECT addressToLine(1)",
    "SELECT showCertificate()",
    "SELECT catboostEvaluate('{secret}', 1)",
    "SELECT aiGenerate('x')",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT dictGet('d', 'a', 1) SETTINGS allow_introspection_functions = 1",
    # Table functions.
    "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT * FROM `file`('{secret}', 'LineAsString', 's String')",
    "SELECT * FROM file /* x */ ('{secret}', 'LineAsString', 's String')",
    "SELECT * FROM numbers(1), file('{secret}', 'LineAsString', 's String')",
    "SELECT * FROM numbers(1) JOIN file('{secret}', 'LineAsString', 's String') AS f ON 1 = 1",
    "SELECT 1 IN (SELECT s FROM file('{secret}', 'LineAsString', 's String'))",
    "SELECT 1 WHERE '' IN file('{secret}', 'LineAsString', 's String')",
    "SELECT * FROM view(SELECT * FROM file('{secret}', 'LineAsString', 's String'))",
    "SELECT * FROM fileCluster('default', '{secret}', 'LineAsString', 's String')",
    "SELECT * FROM filesystem('{secret}')",
    "SELECT * FROM url('http://127.0.0.1:{port}/ping', 'LineAsString', 's String')",
    "SELECT * FROM urlCluster('default', 'http://127.0.0.1:{port}/ping', 'LineAsString', 's String')",
    "SELECT * FROM url('file://{secret}', 'LineAsString', 's String')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/x', 'CSV', 's String')",
    "SELECT * FROM gcs('http://127.0.0.1:{port}/x', 'CSV', 's String')",
    "SELECT * FROM azureBlobStorage('http://127.0.0.1:{port}/x', 'c', 'p', 'CSV')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:{port}/x', 'CSV', 's String')",
    "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1:{port}', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'a String')",
    "SELECT * FROM redis('127.0.0.1:{port}', 'key', 'key String')",
    "SELECT * FROM sqlite('{secret}', 't')",
    "SELECT * FROM odbc('DSN=x', 'd', 't')",
    "SELECT * FROM jdbc('jdbc:x', 'd', 't')",
    "SELECT * FROM executable('cat', 'LineAsString', 's String')",
    "SELECT * FROM python('chdb')",
    "SELECT * FROM Python(handle)",
    "SELECT * FROM arrowstream('x')",
    "SELECT * FROM deltaLake('{secret}')",
    "SELECT * FROM icebergLocal('{secret}')",
    "SELECT * FROM eval('SELECT file(\\'{secret}\\')') SETTINGS allow_experimental_eval_table_function = 1",
    "SELECT * FROM dictionary('d')",
    "DESCRIBE TABLE file('{secret}', 'CSV')",
    "DESCRIBE file('{secret}', 'CSV')",
    # Files named as tables.
    "SELECT * FROM default.`{secret}`",
    "SELECT * FROM `default`.`{secret}`",
    'SELECT * FROM "default"."{secret}"',
    "SELECT * FROM '{secret}'",
    "SELECT * FROM `{secret}`",
    "SELECT * FROM merge('default', '.*')",
    "USE default",
    "DROP DATABASE default",
    "DROP DATABASE IF EXISTS default",
    # Writing and reading files by the client's own words.
    "SELECT 1 INTO OUTFILE '{outfile}'",
    "SELECT 1 INTO/**/OUTFILE '{outfile}' FORMAT CSV",
    "SELECT 1 INTO OUTFILE '{outfile}' TRUNCATE FORMAT CSV",
    "INSERT INTO attacked FROM INFILE '{secret}' FORMAT LineAsString",
    "INSERT INTO attacked (s) FROM INFILE '{secret}' FORMAT LineAsString",
    "INSERT INTO attacked FROM /**/ INFILE '{secret}' COMPRESSION 'none' FORMAT LineAsString",
    "INSERT INTO FUNCTION file('{outfile}', 'CSV', 's String') SELECT 'x'",
    "INSERT INTO TABLE FUNCTION file('{outfile}', 'CSV', 's String') VALUES ('x')",
    "INSERT INTO FUNCTION file('{outfile}', 'CSV', 's String') FORMAT CSV\nx",
    "INSERT INTO attacked SELECT file('{secret}')",
    "INSERT INTO attacked VALUES (file('{secret}'))",
    "INSERT INTO attacked FORMAT Values (file('{secret}'))",
    "INSERT INTO attacked SETTINGS input_format_values_interpret_expressions = 1 FORMAT Values (file('{secret}'))",
    # Engines, databases, dictionaries, functions that would do it later.
    "CREATE TABLE attack (s String) ENGINE = File(LineAsString)",
    "CREATE TABLE attack (s String) ENGINE = File(LineAsString, '{secret}')",
    "CREATE TABLE attack (s String) ENGINE File(LineAsString, '{secret}')",
    "CREATE TABLE attack (s String) ENGINE = `File`(LineAsString, '{secret}')",
    "CREATE TABLE attack (s String) ENGINE = URL('http://127.0.0.1:{port}/ping', LineAsString)",
    "CREATE TABLE attack (s String) ENGINE = S3('http://127.0.0.1:{port}/ping', 'CSV')",
    "CREATE TABLE attack (s String) ENGINE = MySQL('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "CREATE TABLE attack (s String) ENGINE = Executable('cat', 'LineAsString')",
    "CREATE TABLE attack (s String) ENGINE = Distributed('default', 'system', 'one')",
    "CREATE TABLE attack (s String) ENGINE = Kafka('127.0.0.1:{port}', 't', 'g', 'CSV')",
    "CREATE TABLE attack (s String) ENGINE = SQLite('{secret}', 't')",
    # They name a table by text, and in the database `default` every file is a table.
    "CREATE TABLE attack (c1 String) ENGINE = Buffer('default', '{secret}', 1, 10, 100, 1, 1, 1, 1)",
    "CREATE TABLE attack (c1 String) ENGINE = Buffer(default, `{secret}`, 1, 10, 100, 1, 1, 1, 1)",
    "CREATE TABLE attack ENGINE = Alias('default', '{secret}')",
    "CREATE TABLE attack (c1 String) ENGINE = Merge('default', '.*')",
    "CREATE MATERIALIZED VIEW attack TO default.`{outfile}` AS SELECT s FROM attacked",
    "SELECT hasColumnInTable('127.0.0.1', 'u', 'p', 'd', 't', 'c')",
    "CREATE TABLE attack AS file('{secret}', 'LineAsString')",
    "CREATE TABLE attack ENGINE = Memory AS SELECT * FROM file('{secret}', 'LineAsString')",
    "CREATE OR REPLACE TABLE attack ENGINE = File(CSV) AS SELECT 1",
    "CREATE TABLE attack (s String DEFAULT file('{secret}')) ENGINE = Memory",
    "CREATE TABLE attack (s String, t String ALIAS file('{secret}')) ENGINE = Memory",
    "CREATE TABLE attack (s String, CONSTRAINT c CHECK file('{secret}') = '') ENGINE = Memory",
    "CREATE TABLE attack (a Date) ENGINE = MergeTree ORDER BY a TTL a + length(file('{secret}'))",
    "CREATE TABLE attack (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/tmp/')",
    "CREATE TABLE attack (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'x'",
    "CREATE TABLE attack (a Int8) ENGINE = Log SETTINGS disk = 'x'",
    "CREATE TEMPORARY TABLE attack (s String) ENGINE = File(LineAsString, '{secret}')",
    "CREATE VIEW attack AS SELECT file('{secret}')",
    "CREATE MATERIALIZED VIEW attack ENGINE = File(CSV) AS SELECT 1 AS a",
    "CREATE DATABASE attack ENGINE = Filesystem('/')",
    "CREATE DATABASE attack ENGINE = MySQL('127.0.0.1:{port}', 'd', 'u', 'p')",
    "CREATE DATABASE attack ENGINE = SQLite('{secret}')",
    "CREATE DICTIONARY attack (s String) PRIMARY KEY s SOURCE(FILE(path '{secret}' format 'CSV')) LAYOUT(FLAT())",
    "CREATE FUNCTION attack AS x -> file(x)",
    "CREATE FUNCTION attack AS x -> x",
    "CREATE NAMED COLLECTION attack AS url = 'http://127.0.0.1:{port}'",
    "CREATE USER attack",
    "ATTACH TABLE attack FROM '{secret}' (s String) ENGINE = File(CSV)",
    "ATTACH DATABASE attack ENGINE = Filesystem('/')",
    "ALTER TABLE attacked ADD COLUMN t String DEFAULT file('{secret}')",
    "ALTER TABLE attacked UPDATE s = file('{secret}') WHERE 1",
    "ALTER TABLE attacked FREEZE",
    "ALTER TABLE attacked FETCH PARTITION tuple() FROM '/x'",
    "ALTER TABLE attacked MODIFY SETTING storage_policy = 'x'",
    "DELETE FROM attacked WHERE s = file('{secret}')",
    # Statements that steer the server.
    "BACKUP TABLE attacked TO File('{outfile}')",
    "RESTORE TABLE attacked FROM File('{outfile}')",
    "SYSTEM SHUTDOWN",
    "SYSTEM RELOAD CONFIG",
    "KILL QUERY WHERE 1",
    "GRANT ALL ON *.* TO default",
    "SET ROLE ALL",
    "DETACH TABLE attacked",
    "EXECUTE AS default SELECT 1",
    "DROP DATABASE system",
    "INSERT INTO system.one VALUES (1)",
    "SELECT 1; SELECT file('{secret}')",
    "SELECT 1; DROP TABLE attacked",
    "EXPLAIN AST SELECT 1; DROP TABLE attacked",
    "CREATE TABLE attack (a Int8) ENGINE = Memory PARALLEL WITH CREATE TABLE attack2 (a Int8) ENGINE = Memory",
    # Settings that name files, hosts or expressions, or change how SQL is read.
    "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{secret}'",
    "SELECT 1 FORMAT Template SETTINGS format_template_row='{secret}'",
    "SELECT 1 SETTINGS max_threads = 1, format_schema = '{secret}'",
    "SELECT 1 SETTINGS `format_schema` = '{secret}'",
    "SELECT * FROM (SELECT 1 SETTINGS format_schema = '{secret}')",
    "SET format_schema = '{secret}'",
    "SET max_threads = 1, dialect = 'kusto'",
    "SET dialect = 'prql'",
    "SELECT * FROM attacked SETTINGS additional_result_filter = 'file(\\'{secret}\\') = 1'",
    "SELECT * FROM attacked SETTINGS additional_table_filters = {{'attacked': 'file(\\'{secret}\\') = 1'}}",
    "SELECT * FROM format(CSV, 'a') SETTINGS input_format_record_errors_file_path = '{outfile}'",
    "SELECT 1 FORMAT AvroConfluent SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1:{port}/'",
    # Another reading of the text than the engine's.
    "SELECT ‘a’, file('{secret}')",
    "SELECT $x$ ' $x$, file('{secret}'), $x$ ' $x$",
    "SELECT 1 # '\n, file('{secret}')",
    "SELECT 1 // '\n, file('{secret}') // '",
    "SELECT '\\\\', file('{secret}'), '\\''",
    "SELECT '''', file('{secret}')",
    "SELECT 1 /* ' */, file('{secret}') /* ' */",
    "SELECT\u00a0file('{secret}')",
]


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outside") / "secret.csv"
    path.write_text(f"{SECRET}\n")
    return path


@pytest.fixture(scope="module", autouse=True)
def attacked(serve: ServeProcess) -> None:
    ask(serve, "CREATE TABLE attacked (s String) ENGINE = MergeTree ORDER BY s")
    ask(serve, "INSERT INTO attacked VALUES ('before')")


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_statement_that_reaches_outside_is_refused_and_has_no_effect(
    serve: ServeProcess, secret: Path, attack: str
) -> None:
    outfile = secret.with_name("written.csv")
    sql = attack.format(secret=secret, outfile=outfile, port=serve.http_url.rpartition(":")[2])

    answer = ask(serve, sql, check=False)

    assert answer.status in (400, 403, 404, 501), answer.text
    assert SECRET not in answer.text
    assert not outfile.exists()
    assert ask(serve, "SELECT s FROM attacked").text == "before\n"
    assert ask(serve, "EXISTS TABLE attack").text == "0\n"


@pytest.mark.parametrize(
    "parameters",
    [
        {"query": "SELECT arrayMap({f:Identifier}, ['SECRET'])", "param_f": "file"},
        {"query": "SELECT arrayMap({f:Identifier}, ['SECRET'])", "param_f": "FILE"},
        {"query": "SELECT arrayMap({f:Identifier}, ['SECRET'])", "param_f": "`file`"},
        {"query": "SELECT arrayMap({f:Identifier}, ['SECRET'])", "param_f": "fi\\x6ce"},
        {"query": "SELECT arrayMap({1f:Identifier}, ['SECRET'])", "param_1f": "file"},
        {"query": "SELECT arrayMap({ f : Identifier }, ['SECRET'])", "param_f": "file"},
        {"query": "SELECT {f:Identifier}('SECRET')", "param_f": "file"},
        {"query": "SELECT * FROM {f:Identifier}('SECRET', 'LineAsString')", "param_f": "file"},
        {"query": "SELECT * FROM default.{t:Identifier}", "param_t": "SECRET"},
        {"query": "SELECT * FROM {d:Identifier}.{t:Identifier}", "param_d": "default", "param_t": "SECRET"},
        {"query": "SELECT * FROM {t:Identifier}", "param_t": "SECRET", "database": "default"},
        {"query": "SELECT 1 FORMAT Template", "format_template_resultset": "SECRET"},
        {"query": "SELECT 1", "default_format": "Template", "format_template_resultset": "SECRET"},
        {"query": "SELECT file('SECRET')", "dialect": "clickhouse"},
        {"query": "print file('SECRET')", "dialect": "kusto", "allow_experimental_kusto_dialect": "1"},
        {"query": "SELECT 1", "additional_result_filter": "file('SECRET') = ''"},
        {"query": "SELECT 1", "select": "file('SECRET')"},
        {"query": "INSERT INTO attacked FORMAT Protobuf", "format_schema": "SECRET:X"},
        {"query": "1 + length(file('SECRET'))", "implicit_select": "1"},
    ],
)
def test_a_parameter_of_the_url_cannot_smuggle_what_the_statement_may_not_say(
    serve: ServeProcess, secret: Path, parameters: dict[str, str]
) -> None:
    query = {name: value.replace("SECRET", str(secret)) for name, value in parameters.items()}

    answer = ask(serve, "", query, check=False)

    assert answer.status in (400, 403, 404, 501), answer.text
    assert SECRET not in answer.text


def test_a_long_list_of_values_is_read_as_literals_only(serve: ServeProcess, secret: Path) -> None:
    padding = "('x')," * 60_000

    answer = ask(serve, f"INSERT INTO attacked VALUES {padding} (file('{secret}'))", check=False)

    assert answer.status == 400
    assert ask(serve, "SELECT count() FROM attacked").text == "1\n"


def test_the_engine_itself_refuses_files_even_without_the_guard(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = """
import sys
from pathlib import Path
from otel_usage.server.engine import Engine, EngineError
engine = Engine(Path(sys.argv[1]))
for sql in sys.argv[2:]:
    with engine.handle() as handle:
        try:
            handle.run(sql)
        except EngineError as error:
            print(error.code)
        else:
            print("accepted")
engine.close()
"""
    statements = [
        "SELECT * FROM file('/etc/passwd', 'LineAsString', 's String')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 's String')",
        "SELECT * FROM remote('127.0.0.1:1', system.one)",
        "CREATE TABLE system.x (s String) ENGINE = File(CSV)",
        "CREATE FUNCTION f AS x -> x",
        "SYSTEM FLUSH LOGS",
        "SET format_template_resultset = '/etc/passwd'",
        "SET dialect = 'kusto'",
    ]

    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), *statements],
        capture_output=True,
        text=True,
        timeout=180,
    )

    assert run.stdout.split() == ["497"] * 6 + ["452"] * 2, run.stderr
