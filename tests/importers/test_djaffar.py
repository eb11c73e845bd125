"""`otel-usage import djaffar`."""

from __future__ import annotations

from otel_usage.clickhouse import ClickHouse
from tests.importers.importing import assert_each_event_once, count, rows, run_import
from tests.importers.logs import FIREFOX
from tests.importers.old_data import KEY, activity, execute, write_activities
from tests.importers.old_data import old_url as old_url


def test_each_activity_is_an_event(usage: ClickHouse, old_url: str) -> None:
    write_activities(old_url, [activity(1)], FIREFOX)

    ran = run_import(usage, "djaffar", "--url", old_url)

    assert ran.code == 0, ran.errors
    assert ran.output == "djaffar_activity: 1 activities: 1 stored, 0 already there, 0 refused\n"
    columns = "event_name, toString(timestamp), path, query, user_id, browser, referrer_domain, campaign_source, host"
    assert rows(usage, columns) == [
        (
            "activity",
            "2026-03-10 12:00:00.000000000",
            "/shop/",
            "utm_source=news",
            "5",
            "Firefox",
            "example.org",
            "news",
            "",
        )
    ]
    assert rows(usage, "properties") == [({"url": "/shop/?utm_source=news#top", "fragment": "top"},)]
    assert_each_event_once(usage)


def test_the_activities_of_a_session_are_one_visit_and_its_key_is_not_kept(
    usage: ClickHouse, old_url: str
) -> None:
    write_activities(old_url, [activity(1), activity(2), activity(3, session_id=None, user_id=None)], FIREFOX)

    run_import(usage, "djaffar", "--url", old_url)

    assert sorted(rows(usage, "visit_key != '', user_id, user_agent = '' ")) == [
        (0, "", 1),
        (1, "5", 0),
        (1, "5", 0),
    ]
    assert rows(usage, "DISTINCT visit_key", "visit_key != ''") != [(KEY,)]
    assert KEY not in repr(usage.query("SELECT * FROM events").rows)
    assert usage.query("SELECT count(), sum(confirmed) FROM visits").rows == [(1, 1)]
    assert usage.query("SELECT sum(visits), sum(requests) FROM browsers_daily").rows == [(1, 0)]


def test_activities_that_are_imported_twice_count_once(usage: ClickHouse, old_url: str) -> None:
    write_activities(old_url, [activity(number) for number in range(1, 50)], FIREFOX)
    run_import(usage, "djaffar", "--url", old_url)
    write_activities_again = [activity(number) for number in range(50, 60)]
    execute(old_url, "DELETE FROM djaffar_sessioninfo")
    write_activities(old_url, write_activities_again, FIREFOX)

    ran = run_import(usage, "djaffar", "--url", old_url, "--timezone", "Europe/Berlin")

    assert ran.output == "djaffar_activity: 59 activities: 10 stored, 49 already there, 0 refused\n"
    assert_each_event_once(usage)


def test_a_whole_url_as_path_and_the_site_are_taken_apart(usage: ClickHouse, old_url: str) -> None:
    write_activities(
        old_url, [activity(1, path="https://a.example:8443/x?y=z"), activity(2, path="/p")], FIREFOX
    )

    run_import(usage, "djaffar", "--url", old_url, "--site", "https://shop.example")

    assert sorted(rows(usage, "scheme, host, path, query")) == [
        ("https", "a.example", "/x", "y=z"),
        ("https", "shop.example", "/p", ""),
    ]


def test_the_zone_is_honoured_where_times_name_none(usage: ClickHouse, old_url: str) -> None:
    if not old_url.startswith("sqlite"):
        return
    write_activities(old_url, [activity(1)], FIREFOX)

    run_import(usage, "djaffar", "--url", old_url, "--timezone", "America/New_York")

    assert rows(usage, "toString(timestamp)") == [("2026-03-10 16:00:00.000000000",)]


def test_hostile_rows_cost_themselves_alone(usage: ClickHouse, old_url: str) -> None:
    texts = ["", "\x01\x1b[31m", "//", "http://[", "x" * 1000, "café ☕", "javascript:alert(1)"]
    write_activities(
        old_url, [activity(number, path=text) for number, text in enumerate(texts, 1)], "x" * 1000
    )
    if old_url.startswith("sqlite"):
        execute(old_url, "UPDATE djaffar_activity SET date = 'tomorrow' WHERE id = 1")
        execute(old_url, "UPDATE djaffar_activity SET path = CAST(x'ff00fe' AS TEXT) WHERE id = 2")

    ran = run_import(usage, "djaffar", "--url", old_url)

    refused = 1 if old_url.startswith("sqlite") else 0
    assert ran.code == 0, ran.errors
    assert count(usage) == len(texts) - refused
    assert usage.query("SELECT count() FROM rejected_events").rows == [(refused,)]
    assert KEY not in repr(usage.query("SELECT * FROM rejected_events").rows)


def test_a_missing_table_is_named_with_what_there_is(usage: ClickHouse, old_url: str) -> None:
    write_activities(old_url, [], FIREFOX)

    ran = run_import(usage, "djaffar", "--url", old_url, "--table", "app_activity")

    assert ran.code == 1
    assert (
        "has no table 'app_activity'; it has: djaffar_activity, djaffar_sessioninfo. Name the table with --table"
        in ran.errors
    )


def test_more_rows_than_a_page_are_all_taken(usage: ClickHouse, old_url: str) -> None:
    write_activities(old_url, [activity(number * 3) for number in range(1, 45_002)], FIREFOX)

    run_import(usage, "djaffar", "--url", old_url)

    assert count(usage) == 45_001


def test_pages_that_the_settings_exclude_are_refused(usage: ClickHouse, old_url: str) -> None:
    write_activities(old_url, [activity(1, path="/static/a.html"), activity(2)], FIREFOX)

    ran = run_import(usage, "djaffar", "--url", old_url)

    assert ran.output.splitlines() == [
        "djaffar_activity: 2 activities: 1 stored, 0 already there, 1 refused",
        "  1 refused: a path that OTEL_USAGE_EXCLUDED_URLS excludes (row 1)",
    ]
    assert usage.query("SELECT count() FROM rejected_events").rows == [(0,)]
