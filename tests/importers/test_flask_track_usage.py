"""`otel-usage import flask-track-usage`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.importers.journal import Journal
from otel_usage.importers.old_database import OldDatabase
from otel_usage.importers.old_rows import find_zone
from otel_usage.importers.skipped_hours import doubled_hours
from otel_usage.reports.usage import read_usage
from otel_usage.reports.usage_arguments import UsageQuestion
from otel_usage.reports.usage_walks import Walks
from tests.importers.importing import assert_each_event_once, count, rows, run_import
from tests.importers.old_data import execute
from tests.importers.old_data import old_url as old_url
from tests.importers.tracked_requests import (
    GENERATIONS,
    add_rows,
    full_row,
    make_table,
    tracked,
    write_requests,
)
from tests.serving import wait_for

COMMAND = ("flask-track-usage", "--url")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_each_row_of_each_generation_is_a_request(usage: ClickHouse, old_url: str, generation: str) -> None:
    write_requests(old_url, full_row(generation), generation=generation)

    ran = run_import(usage, *COMMAND, old_url)

    assert (ran.code, ran.errors) == (0, "")
    assert ran.output == "flask_usage: 1 requests: 1 stored, 0 already there, 0 refused\n"
    what = "event_name, toString(timestamp), duration_ns, scheme, host, path, query, status_code, blueprint, view_args"
    assert rows(usage, what) == [
        (
            "request", "2026-03-10 00:00:01.000000000", 250_000_000, "http", "shop.example", "/p/7",
            "utm_source=news", 200, "catalog", {"n": "7", "name": "socks"},
        )
    ]  # fmt: skip
    who = "browser, browser_version, os, device_type, is_bot, language, country, city, has_authorization, method"
    assert rows(usage, who) == [
        ("Chrome", "120.0.0.0", "Windows", "desktop", 0, "de-ch", "CH", "Basel", 1, "")
    ]
    assert rows(usage, "campaign_source, user_agent, visit_key, IPv6NumToString(client_address)") == [
        ("news", "", "", "::ffff:192.0.2.1")
    ]
    assert_each_event_once(usage)


@pytest.mark.parametrize("generation", ["2.0", "master"])
def test_what_later_generations_added_is_kept(usage: ClickHouse, old_url: str, generation: str) -> None:
    write_requests(old_url, full_row(generation), generation=generation)

    run_import(usage, *COMMAND, old_url)

    assert rows(usage, "user_id, forwarded_for, IPv6NumToString(peer_address)") == [
        ("ann", "203.0.113.7", "::ffff:192.0.2.1")
    ]
    ((properties,),) = rows(usage, "properties")
    assert json.loads(properties["track_var"]) == {"plan": "gold", "seats": 3}
    assert json.loads(properties["ip_info"])["country"] == "Switzerland"


def test_get_usage_gives_the_imported_rows_with_their_old_values(usage: ClickHouse, old_url: str) -> None:
    write_requests(old_url, full_row("2.0"))
    run_import(usage, *COMMAND, old_url)

    (found,) = read_usage(usage, Walks(), UsageQuestion.of(None, None, 500, 1, None))

    assert found == {
        "url": "http://shop.example/p/7?utm_source=news",
        "user_agent": {
            "browser": "chrome",
            "language": "de-ch",
            "platform": "windows",
            "version": "120.0.0.0",
        },
        "blueprint": "catalog",
        "view_args": {"n": "7", "name": "socks"},
        "status": 200,
        "remote_addr": "192.0.2.1",
        "xforwardedfor": "203.0.113.7",
        "authorization": True,
        "ip_info": {"country_code": "CH", "city": "Basel"},
        "path": "/p/7",
        "speed": 0.25,
        "date": datetime(2026, 3, 10, 0, 0, 1),
        "username": "ann",
        "track_var": {"plan": "gold", "seats": 3},
    }


def test_a_table_that_is_imported_twice_counts_once(usage: ClickHouse, old_url: str) -> None:
    write_requests(old_url, *(tracked(number) for number in range(1, 50)))
    run_import(usage, *COMMAND, old_url)
    add_rows(old_url, [tracked(number) for number in range(50, 60)])

    ran = run_import(usage, *COMMAND, old_url)

    assert ran.output == "flask_usage: 59 requests: 10 stored, 49 already there, 0 refused\n"
    assert usage.query("SELECT sum(requests) FROM browsers_daily").rows == [(59,)]
    assert_each_event_once(usage)


def test_an_import_that_is_killed_goes_on_and_counts_once_while_rows_are_added(
    usage: ClickHouse, old_url: str
) -> None:
    write_requests(old_url, *(tracked(number) for number in range(1, 24_001)))
    for events in (1, 20_001):
        process = start_import(old_url, usage.dsn.masked)
        add_rows(old_url, [tracked(24_000 + events)])
        wait_for_events(usage, events, process)
        process.kill()
        process.wait()
    before = count(usage)

    ran = run_import(usage, *COMMAND, old_url)

    assert before > 0
    assert ran.code == 0, ran.errors
    assert count(usage) == 24_002
    assert Journal(usage).unfinished() == {}
    assert_each_event_once(usage)


def test_two_imports_of_one_table_at_once_count_once(usage: ClickHouse, old_url: str) -> None:
    write_requests(old_url, *(tracked(number) for number in range(1, 21_001)))

    processes = [start_import(old_url, usage.dsn.masked) for _ in range(2)]

    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert count(usage) == 21_000
    assert_each_event_once(usage)


def start_import(url: str, dsn: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "otel_usage", "import", *COMMAND, url, "--service", "shop", "--dsn", dsn]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def wait_for_events(client: ClickHouse, events: int, process: subprocess.Popen[bytes]) -> None:
    wait_for(lambda: count(client) >= events or process.poll() is not None, "an insert")


# Time


def day_of_clocks_put_forward(*hours: str) -> list[dict[str, object]]:
    """Return rows in the order in which they were stored, with the time that stands in the column."""
    return [
        tracked(number, datetime=datetime.fromisoformat(f"2026-03-08 {hour}"))
        for number, hour in enumerate(hours, 1)
    ]


def times(client: ClickHouse) -> list[str]:
    return [str(time)[11:19] for (time,) in rows(client, "toString(timestamp)")]


def test_the_hour_that_the_clocks_of_the_old_server_moved_is_moved_back(
    usage: ClickHouse, old_url: str
) -> None:
    write_requests(
        old_url,
        *day_of_clocks_put_forward("01:59:00", "03:10:00", "03:50:00", "03:05:00", "03:40:00", "04:00:00"),
    )

    run_import(usage, *COMMAND, old_url, "--timezone", "America/New_York")

    assert times(usage) == ["01:59:00", "02:10:00", "02:50:00", "03:05:00", "03:40:00", "04:00:00"]


def test_times_are_taken_as_they_are_where_nothing_tells_the_two_hours_apart(
    usage: ClickHouse, old_url: str
) -> None:
    write_requests(
        old_url, *day_of_clocks_put_forward("01:59:00", "03:10:00", "03:09:30", "03:40:00", "04:00:00")
    )

    run_import(usage, *COMMAND, old_url, "--timezone", "America/New_York")

    assert times(usage) == ["01:59:00", "03:09:30", "03:10:00", "03:40:00", "04:00:00"]


def test_another_time_zone_makes_no_other_events(usage: ClickHouse, old_url: str) -> None:
    write_requests(old_url, *day_of_clocks_put_forward("03:10:00", "03:50:00", "03:05:00", "03:40:00"))
    run_import(usage, *COMMAND, old_url)

    ran = run_import(usage, *COMMAND, old_url, "--timezone", "America/New_York")

    assert ran.output == "flask_usage: 4 requests: 0 stored, 4 already there, 0 refused\n"
    assert_each_event_once(usage)


OLD_ARITHMETIC = """
import os, sys, time
from datetime import datetime, timedelta, timezone
os.environ["TZ"] = sys.argv[1]
time.tzset()
moment, end = datetime(2026, 1, 1), datetime(2027, 1, 1)
while moment < end:
    column = datetime.fromtimestamp(int(time.mktime(moment.timetuple())))
    if column != moment:
        print(moment, column, sep=",")
    moment += timedelta(minutes=15)
"""
"""What the old package makes of UTC times on a server in some zone: prints those that do not come out as they were."""


@pytest.mark.parametrize(
    "zone", ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"]
)
def test_the_times_that_the_old_arithmetic_moves_are_those_that_are_moved_back(zone: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", OLD_ARITHMETIC, zone], capture_output=True, text=True, check=True
    ).stdout

    start = (datetime(2026, 1, 1) - datetime(1970, 1, 1)).days
    hours = {hour for day in range(start, start + 365) for hour in doubled_hours(day, find_zone(zone))}
    expected = [
        (at - hour.length_ns, at)
        for hour in hours
        for at in range(hour.start_ns, hour.end_ns, 15 * 60 * 10**9)
    ]
    moved = [
        tuple(
            int((datetime.fromisoformat(text) - datetime(1970, 1, 1)) / timedelta(seconds=1)) * 10**9
            for text in line.split(",")
        )
        for line in printed.splitlines()
    ]
    assert moved == sorted(expected)
    assert bool(moved) == (zone in ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe"))


# Texts that were too long, and other bad ones


def test_what_is_whole_of_a_json_text_that_was_cut_is_kept(usage: ClickHouse, old_url: str) -> None:
    view_args = json.dumps({"n": 7, "name": "s" * 100})[:64]
    track_var = json.dumps({"plan": "gold", "basket": ["socks"] * 30, "later": 1})[:128]
    write_requests(old_url, tracked(1, view_args=view_args, track_var=track_var))

    run_import(usage, *COMMAND, old_url)

    ((arguments, properties),) = rows(usage, "view_args, properties")
    assert (arguments, properties["view_args"]) == ({"n": "7"}, view_args)
    assert json.loads(properties["track_var"]) == {"plan": "gold", "_truncated": ["basket"]}


def test_what_does_not_fit_into_a_property_is_left_out_whole_and_named(
    usage: ClickHouse, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    write_requests(url, tracked(1, track_var=json.dumps({"notes": "x" * 5000, "plan": "gold"})))

    run_import(usage, *COMMAND, url)

    ((properties,),) = rows(usage, "properties")
    assert json.loads(properties["track_var"]) == {"plan": "gold", "_truncated": ["notes"]}


def test_an_empty_json_text_is_nothing(usage: ClickHouse, old_url: str) -> None:
    write_requests(
        old_url,
        tracked(1, view_args="{}", track_var="{}"),
        tracked(2, view_args="null", status=404),
        tracked(3, view_args=None, track_var=None),
    )

    run_import(usage, *COMMAND, old_url)

    assert rows(usage, "view_args, properties") == [({}, {})] * 3


def test_an_address_that_was_cut_is_unknown_and_counted(usage: ClickHouse, old_url: str) -> None:
    write_requests(
        old_url,
        tracked(1, remote_addr="2001:db8:85a3:8d3:1319:8"),
        tracked(2, remote_addr="2001:db8::7348"),
        tracked(3, remote_addr=None),
    )

    ran = run_import(usage, *COMMAND, old_url)

    assert rows(usage, "IPv6NumToString(client_address)") == [("::",), ("2001:db8::7348",), ("::",)]
    assert ran.errors == (
        "otel-usage: 1 rows have an address that cannot be read, such as one of IPv6 that was cut; their "
        "client_address is ::\n"
    )


def test_the_beginning_of_an_address_is_not_taken_for_an_address(
    usage: ClickHouse, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OldDatabase, "cuts_texts", True)
    monkeypatch.setenv("OTEL_USAGE_TRUSTED_PROXIES", "1")
    addresses = {
        "remote_addr": "2001:db8::1319:8a2e:370:73"[:24],
        "xforwardedfor": "203.0.113.7, 198.51.100.23"[:24],
    }
    write_requests(old_url, tracked(1, **addresses), tracked(2, remote_addr="2001:db8::1"))

    run_import(usage, *COMMAND, old_url)

    assert rows(usage, "IPv6NumToString(client_address), forwarded_for") == [
        ("::", "203.0.113.7, 198.51.100."),
        ("2001:db8::1", ""),
    ]


def test_a_longer_path_is_taken_where_the_url_was_cut(usage: ClickHouse, old_url: str) -> None:
    write_requests(
        old_url,
        tracked(1, url="http://shop.example/café/very-lo", path="/café/very-long-name"),
        tracked(2, url="http://shop.example/app/caf%C3%A9?q=1", path="/café"),
        tracked(3, url="not a url", path="/only/here"),
    )

    run_import(usage, *COMMAND, old_url)

    assert rows(usage, "path, host, query") == [
        ("/café/very-long-name", "shop.example", ""),
        ("/app/café", "shop.example", "q=1"),
        ("/only/here", "", ""),
    ]


def test_rows_that_are_no_requests_are_set_aside_with_the_reason(usage: ClickHouse, old_url: str) -> None:
    write_requests(
        old_url,
        tracked(1, datetime=None, remote_addr="192.0.2.77"),
        tracked(2, status=None),
        tracked(3, status=7),
        tracked(4, url=None, path=None),
        tracked(5),
    )

    ran, again = (run_import(usage, *COMMAND, old_url) for _ in range(2))

    assert ran.output.splitlines() == [
        "flask_usage: 5 requests: 1 stored, 0 already there, 4 refused",
        "  2 refused: no status that HTTP knows (row 2, row 3)",
        "  1 refused: no time that can be read (row 1)",
        "  1 refused: neither a URL nor a path (row 4)",
    ]
    assert again.output.splitlines()[0] == "flask_usage: 5 requests: 0 stored, 1 already there, 4 refused"
    rejected = usage.query("SELECT reason, body FROM rejected_events").rows
    assert len(rejected) == 4
    assert "192.0.2.77" not in repr(rejected)


def test_hostile_rows_cost_themselves_alone(usage: ClickHouse, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    texts = [
        "",
        "\x01\x1b[31m",
        "//",
        "http://[",
        "x" * 100_000,
        "[" * 50_000,
        '{"a":' * 20_000,
        "café ☕",
        "{}",
        "NaN",
    ]
    write_requests(url, *(
        tracked(number, url="http://shop.example/" + text, view_args=text, track_var=text, ip_info=text, remote_addr=text,
                blueprint=text, ua_browser=text, username=text)
        for number, text in enumerate(texts, 1)
    ))  # fmt: skip
    for number, wrong in enumerate(("x'ff00fe'", "'often'", "1e400", "-1", "99999999999999999999"), 100):
        execute(
            url,
            "INSERT INTO flask_usage (id, url, path, status, datetime, speed, ip_info) "
            f"VALUES ({number}, 'http://h/', {wrong}, 200, '2026-03-10 12:00:00', {wrong}, {wrong})",
        )
    execute(
        url, "INSERT INTO flask_usage (id, url, status, datetime) VALUES (200, 'http://h/', 200, 'tomorrow')"
    )

    ran = run_import(usage, *COMMAND, url)

    assert ran.code == 0, ran.errors
    assert ran.output.startswith("flask_usage: 16 requests: 15 stored, 0 already there, 1 refused\n")
    assert usage.query("SELECT max(duration_ns) FROM events").rows == [(250_000_000,)]


# Who


@pytest.mark.parametrize(
    ("values", "options", "user"),
    [
        ({"username": "ann"}, (), "ann"),
        ({"username": "ann"}, ("--without-users",), ""),
        ({"username": "ann", "status": 401}, (), ""),
        ({"username": "ann", "status": 403}, (), ""),
        ({"username": "None"}, (), ""),
    ],
)
def test_only_users_that_may_be_ones_are_kept(
    usage: ClickHouse, old_url: str, values: dict[str, object], options: tuple[str, ...], user: str
) -> None:
    write_requests(old_url, tracked(1, **values))

    run_import(usage, *COMMAND, old_url, *options)

    assert rows(usage, "user_id") == [(user,)]


def test_addresses_and_paths_are_kept_as_the_settings_say(
    usage: ClickHouse, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_USAGE_IP", "masked")
    monkeypatch.setenv("OTEL_USAGE_TRUSTED_PROXIES", "192.0.2.0/24")
    secret = {
        "url": "http://u:pw@shop.example/?token=abc&q=1",
        "path": "/",
        "ip_info": '{"query": "203.0.113.7"}',
    }
    static = {"url": "http://shop.example/static/a.css", "path": "/static/a.css"}
    write_requests(old_url, tracked(1, xforwardedfor="203.0.113.7", **secret), tracked(2, **static))

    ran = run_import(usage, *COMMAND, old_url)

    assert "1 refused: a path that OTEL_USAGE_EXCLUDED_URLS excludes (row 2)" in ran.output
    assert rows(usage, "IPv6NumToString(client_address), query, forwarded_for, properties") == [
        ("::ffff:203.0.113.0", "token=REDACTED&q=1", "", {})
    ]


def test_the_header_that_the_first_generation_wrote_down_as_address_is_read_as_one(
    usage: ClickHouse, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_USAGE_TRUSTED_PROXIES", "1")
    write_requests(old_url, tracked(1, remote_addr="10.0.0.1, 203.0.113.77"[:24]), generation="1.0")

    ran = run_import(usage, *COMMAND, old_url)

    assert ran.errors == ""
    assert rows(usage, "IPv6NumToString(client_address), forwarded_for") == [
        ("::ffff:203.0.113.77", "10.0.0.1, 203.0.113.77")
    ]


@pytest.mark.parametrize(
    ("browser", "platform", "expected"),
    [
        ("firefox", "linux", ("Firefox", "Linux", "desktop", 0, "")),
        ("safari", "iphone", ("Mobile Safari", "iOS", "mobile", 0, "")),
        ("chrome", "android", ("Chrome Mobile", "Android", "unknown", 0, "")),
        ("msie", "windows", ("IE", "Windows", "desktop", 0, "")),
        ("google", None, ("Googlebot", "unknown", "bot", 1, "Googlebot")),
        ("mozilla", "amiga", ("mozilla", "amiga", "unknown", 0, "")),
        (None, None, ("unknown", "unknown", "unknown", 0, "")),
    ],
)
def test_agents_have_the_names_that_they_have_in_live_events(
    usage: ClickHouse, old_url: str, browser: str | None, platform: str | None, expected: tuple[object, ...]
) -> None:
    write_requests(old_url, tracked(1, ua_browser=browser, ua_platform=platform))

    run_import(usage, *COMMAND, old_url)

    assert rows(usage, "browser, os, device_type, is_bot, bot_name") == [expected]


def test_stages_of_the_funnels_are_reached(
    usage: ClickHouse, old_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    funnel = tmp_path / "funnels.toml"
    funnel.write_text(
        '[funnels.buy]\nstages = [{name = "product", paths = ["/p/7"]}, {name = "paid", paths = ["/paid"]}]'
    )
    monkeypatch.setenv("OTEL_USAGE_FUNNELS", str(funnel))
    write_requests(old_url, tracked(1))

    ran = run_import(usage, *COMMAND, old_url)

    assert ran.output.splitlines()[1] == "  1 further events stored that follow from them"
    assert rows(usage, "funnel, stage", "event_name = 'stage_reached'") == [("buy", "product")]


# Tables


@pytest.mark.parametrize("table", ["visits of 2014", 'the "old" usage', "a.b", "x; DROP TABLE y --", "100%s"])
def test_a_table_of_any_name_is_read(usage: ClickHouse, old_url: str, table: str) -> None:
    write_requests(old_url, tracked(1), tracked(2), table=table)

    ran = run_import(usage, *COMMAND, old_url, "--table", table)

    assert (ran.code, ran.errors) == (0, "")
    assert ran.output == f"{table}: 2 requests: 2 stored, 0 already there, 0 refused\n"


def test_a_missing_table_is_named_with_what_there_is(usage: ClickHouse, old_url: str) -> None:
    make_table(old_url, table="web_usage")

    ran = run_import(usage, *COMMAND, old_url)

    assert (ran.code, ran.output) == (1, "")
    assert "has no table 'flask_usage'; it has: web_usage. Name the table with --table" in ran.errors


def test_a_table_of_something_else_is_refused_with_the_columns_that_it_lacks(
    usage: ClickHouse, old_url: str
) -> None:
    make_table(old_url)
    for column in ("speed", "ip_info"):
        execute(old_url, f"ALTER TABLE flask_usage DROP COLUMN {column}")

    ran = run_import(usage, *COMMAND, old_url)

    assert ran.code == 1
    assert "The table 'flask_usage' has no columns 'ip_info', 'speed'; it has: id, url, " in ran.errors


def test_documents_of_mongodb_come_by_the_way_that_the_docs_show(usage: ClickHouse, tmp_path: Path) -> None:
    page = Path("docs/importing.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    subprocess.run([sys.executable, "-W", "error", "-c", example], cwd=tmp_path, check=True)

    ran = run_import(usage, *COMMAND, f"sqlite:///{tmp_path}/usage.db")

    assert ran.output == "flask_usage: 1 requests: 1 stored, 0 already there, 0 refused\n"
    assert rows(usage, "toString(timestamp), path, browser, view_args, properties") == [
        (
            "2026-03-10 12:00:00.000000000",
            "/product/7",
            "Firefox",
            {"number": "7"},
            {"track_var": '{"plan": "gold"}'},
        )
    ]
