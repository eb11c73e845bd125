"""The page that maps the older systems' features to tests names only tests that there are."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

import pytest

from tests.docs_tables import DOCS, ROOT

PAGE = (DOCS / "coverage.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| TG-")]
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", "\n".join(ROWS))))
TG_ROWS = [*range(1, 8), *range(10, 26), *range(30, 37), *range(40, 46)]


@lru_cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    )


@pytest.mark.parametrize("test", NAMED)
def test_every_test_on_the_page_exists(test: str) -> None:
    path, _, name = test.partition("::")

    assert name in names_in(path)


def test_every_feature_of_turbogears_has_its_row() -> None:
    listed = re.findall(r"TG-(\d\d)", " ".join(row.split("|")[1] for row in ROWS))

    assert sorted(map(int, listed)) == TG_ROWS


def test_every_row_names_a_test() -> None:
    assert [row for row in ROWS if "`tests/" not in row.split("|")[3]] == []
