"""`otel-usage import trackable`."""

from __future__ import annotations

from otel_usage.clickhouse import ClickHouse
from tests.importers.importing import assert_each_event_once, count, rows, run_import
from tests.importers.old_data import content_types, daily, execute, totals, write, write_counters
from tests.importers.old_data import old_url as old_url

COLUMNS = "object_type, object_id, counter_name, counter_value"


def test_totals_are_counters_of_their_objects(usage: ClickHouse, old_url: str) -> None:
    write_counters(old_url)

    ran = run_import(
        usage,
        "trackable",
        "--url",
        old_url,
        "--table",
        "shop_producttotals",
        "--model",
        "shop.Product",
        "--at",
        "2012-06-30",
    )

    assert ran.code == 0, ran.errors
    assert ran.output.splitlines() == [
        "shop_producttotals: 6 counters: 4 stored, 0 already there, 2 refused",
        "  2 refused: a content type that django_content_type does not have (row 3, row 3)",
    ]
    assert sorted(rows(usage, COLUMNS)) == [
        ("shop.Product", "41", "clicks", 2**40),
        ("shop.Product", "41", "views", 201),
        ("shop.Product", "42", "clicks", 0),
        ("shop.Product", "42", "views", 3),
    ]
    assert rows(usage, "DISTINCT toString(toDate(timestamp)), event_name") == [("2012-06-30", "counter")]
    assert_each_event_once(usage)


def test_days_stay_the_days_they_were(usage: ClickHouse, old_url: str) -> None:
    write_counters(old_url)

    run_import(
        usage, "trackable", "--url", old_url, "--table", "shop_productdaily", "--model", "shop.Product"
    )

    found = usage.query(
        "SELECT toString(day), object_id, counter_name, value FROM counters_daily ORDER BY day"
    ).rows
    assert found == [("2012-05-31", "41", "views", 10), ("2012-06-01", "41", "views", 20)]


def test_a_table_that_is_imported_twice_counts_once(usage: ClickHouse, old_url: str) -> None:
    write_counters(old_url)
    command = ("trackable", "--url", old_url, "--table", "shop_producttotals")
    run_import(usage, *command, "--at", "2012-06-30")

    ran = run_import(usage, *command, "--at", "2013-01-01")

    assert ran.output.startswith("shop_producttotals: 6 counters: 0 stored, 4 already there, 2 refused\n")
    assert usage.query("SELECT count() FROM rejected_events").rows == [(2,)]
    assert_each_event_once(usage)


def test_a_row_that_is_no_event_is_set_aside(usage: ClickHouse, old_url: str) -> None:
    write_counters(old_url)

    run_import(usage, "trackable", "--url", old_url, "--table", "shop_producttotals", "--counter", "views")

    found = usage.query("SELECT reason, body FROM rejected_events").rows
    assert found == [
        (
            "import: a content type that django_content_type does not have",
            '{"content_type_id": "99", "object_id": "42", "views": "5", "counter": "views"}',
        )
    ]


def test_the_only_table_of_counters_is_found(usage: ClickHouse, old_url: str) -> None:
    write(old_url, content_types(), [{"id": 7, "app_label": "shop", "model": "product"}])
    write(old_url, totals(), [{"id": 1, "content_type_id": 7, "object_id": 1, "views": 2, "clicks": 3}])

    ran = run_import(usage, "trackable", "--url", old_url)

    assert ran.output == "shop_producttotals: 2 counters: 2 stored, 0 already there, 0 refused\n"
    assert ran.errors == (
        "otel-usage: object types are in lower case, unlike those of live events: shop.product. Name each with --model\n"
    )


def test_several_tables_of_counters_are_named(usage: ClickHouse, old_url: str) -> None:
    write(old_url, totals(), [])
    write(old_url, daily(), [])

    ran = run_import(usage, "trackable", "--url", old_url)

    assert ran.code == 1
    assert "has several tables with the columns content_type_id and object_id: " in ran.errors
    assert "shop_productdaily" in ran.errors
    assert ran.errors.endswith("Name the table of counters with --table\n")


def test_a_counter_that_is_missing_is_named_with_what_there_is(usage: ClickHouse, old_url: str) -> None:
    write_counters(old_url)

    ran = run_import(
        usage, "trackable", "--url", old_url, "--table", "shop_productdaily", "--counter", "sales"
    )

    assert (ran.code, ran.errors) == (
        1,
        "otel-usage: The table 'shop_productdaily' has no column 'sales'; it has: id, content_type_id, object_id, "
        "collected_during, views. Name another table with --table\n",
    )


def test_hostile_values_cost_their_row_alone(usage: ClickHouse, old_url: str) -> None:
    if not old_url.startswith("sqlite"):
        return
    write_counters(old_url)
    for row, value in enumerate(
        ("'many'", "9223372036854775807", "1.5", "99999999999999999999", "x'ff00'"), 10
    ):
        execute(
            old_url,
            "INSERT INTO shop_productdaily (id, content_type_id, object_id, collected_during, views) "
            f"VALUES ({row}, 7, {row}, '2012-06-02', {value})",
        )
    execute(old_url, "INSERT INTO shop_productdaily VALUES (20, 7, 1, 'never', 1)")
    execute(old_url, "INSERT INTO shop_productdaily VALUES (21, 7, 1, '9999-01-01', 1)")

    ran = run_import(usage, "trackable", "--url", old_url, "--table", "shop_productdaily")

    assert ran.code == 0, ran.errors
    assert ran.output.splitlines()[0] == "shop_productdaily: 9 counters: 3 stored, 0 already there, 6 refused"
    assert count(usage, "counter_value = 9223372036854775807") == 1
    assert usage.query("SELECT count() FROM rejected_events").rows == [(6,)]
