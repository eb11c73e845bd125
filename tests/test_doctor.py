"""What the doctor finds in databases that are ill in different ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.doctor import SERVICE_NAME, Finding, examine, examine_otlp, examine_settings
from otel_usage.errors import SettingError
from otel_usage.schema import load_migrations, migrate
from otel_usage.settings import Settings
from tests.builders import build_event, insert_events
from tests.databases import new_database
from tests.mmdb import write_database
from tests.serving import ServeProcess


@pytest.fixture
def ill(serve: ServeProcess) -> Iterator[ClickHouse]:
    """A migrated database of the test's own, to be damaged."""
    with new_database(serve) as client:
        migrate(client)
        yield client


def findings(serve: ServeProcess, client: ClickHouse) -> list[Finding]:
    return list(examine(serve.dsn_of(client.dsn.database)))


def only_fault(found: list[Finding]) -> str:
    """Return the one bad finding."""
    (text,) = [finding.text for finding in found if not finding.is_good]
    return text


def test_a_healthy_database_has_five_good_findings(serve: ServeProcess, usage: ClickHouse) -> None:
    found = findings(serve, usage)

    assert [finding.is_good for finding in found] == [True] * 5
    assert all(finding.line().startswith("ok  ") for finding in found)


def test_the_event_of_the_trial_counts_in_no_report(serve: ServeProcess, usage: ClickHouse) -> None:
    findings(serve, usage)

    assert usage.query("SELECT service_name, event_name FROM events").rows == [(SERVICE_NAME, "doctor")]
    for table in ("browsers_daily_state", "ips_daily_state", "pages_daily_state", "visits_state"):
        assert usage.query(f"SELECT count() FROM {table}").rows == [(0,)], table


def test_an_empty_database_misses_all_migrations(serve: ServeProcess, database: ClickHouse) -> None:
    found = findings(serve, database)

    number = len(load_migrations())
    assert only_fault(found) == (
        f"{number} migrations have not been run. Run: otel-usage migrate --dsn {serve.dsn_of(database.dsn.database)}"
    )
    assert found[-1].line().startswith("FAIL  ")


def test_a_database_of_a_later_version_asks_for_that_version(serve: ServeProcess, ill: ClickHouse) -> None:
    ill.insert(
        "schema_migrations",
        ["version", "name", "checksum", "engine_version", "result"],
        ["UInt32", "String", "String", "String", "String"],
        [[9999], ["later"], ["x"], ["x"], ["applied"]],
        token="later",
    )

    assert "has migration 9999" in only_fault(findings(serve, ill))


def test_a_table_without_a_deduplication_window_is_found_out(serve: ServeProcess, ill: ClickHouse) -> None:
    ill.command("ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 0")

    faults = [finding.text for finding in findings(serve, ill) if not finding.is_good]

    assert faults[0].startswith(
        "an event that was sent twice is stored 2 times: this server does not deduplicate"
    )
    assert faults[1].startswith("events are stored twice on: ")


def test_a_table_that_swallows_events_is_found_out(serve: ServeProcess, ill: ClickHouse) -> None:
    ill.command("CREATE TABLE hole AS events ENGINE = Null")
    ill.command("EXCHANGE TABLES events AND hole")

    fault = only_fault(findings(serve, ill))

    assert fault == (
        "an event was accepted but is not there. Look at the server's log and the rights of the account"
    )


def test_a_table_that_was_dropped_is_one_finding(serve: ServeProcess, ill: ClickHouse) -> None:
    ill.command("DROP TABLE events SYNC")

    fault = only_fault(findings(serve, ill))

    assert fault.startswith(
        "a table, view or column is missing although its migration ran: somebody dropped it."
    )


def test_a_column_that_was_dropped_is_one_finding(serve: ServeProcess, ill: ClickHouse) -> None:
    ill.command("ALTER TABLE events DROP COLUMN forwarded_for")

    assert "somebody dropped it" in only_fault(findings(serve, ill))


def test_events_of_long_ago_are_not_looked_at(serve: ServeProcess, usage: ClickHouse) -> None:
    event = build_event(at="2020-01-01T00:00:00")
    insert_events(usage, [event])
    insert_events(usage, [event])

    assert all(finding.is_good for finding in findings(serve, usage))


def test_a_dsn_that_leads_nowhere_is_the_only_finding_and_keeps_its_password() -> None:
    (finding,) = examine("http://ann:secret@127.0.0.1:1/x")

    assert not finding.is_good
    assert finding.text.endswith(
        "does not answer: Connection refused. Is ClickHouse running? For a local one: otel-usage serve"
    )
    assert "secret" not in finding.text
    assert "\n" not in finding.line()


def test_a_dsn_that_is_none_is_an_error_of_the_settings() -> None:
    with pytest.raises(SettingError, match="The DSN cannot be used"):
        list(examine("postgres://ann:secret@db/x"))


def test_a_port_where_something_else_answers_is_not_called_silent(serve: ServeProcess) -> None:
    (finding,) = examine(f"{serve.otlp_url}/otel_usage")

    assert "answered, but not as ClickHouse does" in finding.text
    assert finding.text.endswith(". Look at host and port of the DSN")


def test_settings_without_a_fault_are_one_good_finding() -> None:
    environ = {"OTEL_USAGE_EXPORTER": "none", "OTEL_SERVICE_NAME": "shop", "PATH": "/bin"}

    (finding,) = examine_settings(Settings.load(environ), environ)

    assert finding == Finding(True, "the settings can be used")


def test_a_geo_database_is_shown_with_its_type_and_its_age(tmp_path: Path) -> None:
    path = write_database(tmp_path / "geo.mmdb", {"203.0.113.0/24": {"country_code": "CH"}})

    _, finding = examine_settings(Settings.load({}, geo_database=str(path)), {})

    assert finding.line() == "ok    the geo database is Test-City of 2026-09-21"


def test_a_geo_database_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    _, finding = examine_settings(Settings.load({}, geo_database=str(tmp_path / "geo.mmdb")), {})

    assert finding.line() == (
        f"FAIL  OTEL_USAGE_GEO_DATABASE is '{tmp_path}/geo.mmdb', which cannot be read (no such file or directory). "
        "Put a MaxMind DB file there that the app may read"
    )


def test_an_endpoint_that_takes_traces_is_a_good_finding(serve: ServeProcess, usage: ClickHouse) -> None:
    (finding,) = examine_otlp(Settings.load({}, otlp_endpoint=serve.otlp_url), {})

    assert finding.line() == f"ok    the app sends by OTLP to {serve.otlp_url}, which answers"
    assert usage.query("SELECT count() FROM events").rows == [(0,)]


def test_an_endpoint_where_nobody_is_tells_what_to_do() -> None:
    (finding,) = examine_otlp(Settings.load({}, otlp_endpoint="http://127.0.0.1:1"), {})

    assert finding.line().startswith("FAIL  the app sends by OTLP to http://127.0.0.1:1: no answer from")
    assert "Start a Collector or `otel-usage serve` there, or set OTEL_USAGE_OTLP_ENDPOINT" in finding.text


def test_an_endpoint_that_takes_no_traces_is_a_fault(serve: ServeProcess) -> None:
    (finding,) = examine_otlp(Settings.load({}, otlp_endpoint=f"{serve.otlp_url}/wrong"), {})

    assert not finding.is_good
    assert f"{serve.otlp_url}/wrong: the OTLP endpoint answered 404. " in finding.text


def test_the_exporter_and_the_variable_of_the_sdk_say_that_the_app_sends_by_otlp() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
    }
    dsn = "http://localhost:8123/x"

    for settings in (Settings.load({}), Settings.load({}, dsn=dsn, exporter="otlp")):
        (finding,) = examine_otlp(settings, environ, is_about_database=True)

        assert "http://127.0.0.1:1: no answer" in finding.text
        assert not finding.is_good


@pytest.mark.parametrize("address", ["http://[", "http://a..b", "not an address", "http://127.0.0.1:99999"])
def test_an_address_of_the_sdk_that_is_none_is_a_fault(address: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}

    (finding,) = examine_otlp(Settings.load({}), environ)

    assert not finding.is_good


def test_credentials_of_an_endpoint_are_not_shown() -> None:
    endpoint = "http://ann:s3cret@127.0.0.1:1/way?key=s3cret"

    (finding,) = examine_otlp(Settings.load({}, otlp_endpoint=endpoint), {})

    assert "to http://127.0.0.1:1/way: " in finding.text
    assert "ann" not in finding.text
    assert "s3cret" not in finding.text


def test_an_app_that_does_not_send_by_otlp_has_no_endpoint_to_look_at() -> None:
    assert list(examine_otlp(Settings.load({}, dsn="http://localhost:8123/x"), {})) == []
    assert list(examine_otlp(Settings.load({}, exporter="none"), {})) == []
    assert list(examine_otlp(Settings.load({}), {"OTEL_TRACES_EXPORTER": "otel_usage_clickhouse"})) == []


def test_an_endpoint_that_nobody_has_set_is_no_fault() -> None:
    (finding,) = examine_otlp(Settings.load({}), {})

    assert finding.is_good  # whether somebody is there or not
    assert "the app sends by OTLP to http://localhost:4318" in finding.text
    assert list(examine_otlp(Settings.load({}), {}, is_about_database=True)) == []
