"""Ids of imported lines and rows."""

from __future__ import annotations

from otel_usage.importers.identity import LineIds, row_id


def test_the_same_line_has_the_same_id_in_another_file() -> None:
    assert LineIds("shop").ids_of([b"a", b"b"])[1:] == LineIds("shop").ids_of([b"b"])


def test_two_lines_that_are_the_same_have_different_ids() -> None:
    ids = LineIds("shop").ids_of([b"a", b"a", b"b", b"a"])

    assert len(set(ids)) == 4


def test_ids_do_not_depend_on_how_a_file_is_cut_into_chunks() -> None:
    lines = [b"a", b"b", b"a", b"a", b"b"]
    whole, in_parts = LineIds("shop"), LineIds("shop")

    ids = whole.ids_of(lines)

    assert [in_parts.ids_of([line])[0] for line in lines] == ids


def test_another_service_has_other_events() -> None:
    assert LineIds("shop").ids_of([b"a"]) != LineIds("blog").ids_of([b"a"])


def test_an_id_has_24_bytes_the_second_time_too() -> None:
    assert [len(event_id) for event_id in LineIds("shop").ids_of([b"a", b"a"])] == [24, 24]


def test_the_parts_of_a_row_are_not_mixed_up() -> None:
    assert row_id("a", "bc") != row_id("ab", "c")
    assert row_id("a", 1) == row_id("a", "1")
