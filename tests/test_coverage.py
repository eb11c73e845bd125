"""The page that maps the older systems' features to tests names only tests that there are."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

import pytest

from tests.docs_tables import DOCS, ROOT

PAGE = (DOCS / "coverage.md").read_text("utf-8")
NUMBERS_BY_SYSTEM = {
    "TG": [*range(1, 8), *range(10, 26), *range(30, 37), *range(40, 46)],
    "TRK": [*range(1, 7), *range(10, 16), *range(20, 29)],
    "CFE": [*range(1, 14)],
    "DJF": [*range(1, 17)],
    "FTU": [*range(1, 22), *range(30, 50)],
}
ROWS = [line for line in PAGE.splitlines() if re.match(rf"\| ({'|'.join(NUMBERS_BY_SYSTEM)})-", line)]
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", "\n".join(ROWS))))


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


@pytest.mark.parametrize("system", NUMBERS_BY_SYSTEM)
def test_every_feature_of_an_older_system_has_its_row(system: str) -> None:
    listed = re.findall(rf"{system}-(\d\d)", " ".join(row.split("|")[1] for row in ROWS))

    assert sorted(map(int, listed)) == NUMBERS_BY_SYSTEM[system]


def test_every_row_names_a_test() -> None:
    assert [row for row in ROWS if "`tests/" not in row.split("|")[3]] == []
