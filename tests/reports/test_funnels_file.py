"""The funnel file: what it may say, and what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_usage.errors import FunnelError, SettingError
from otel_usage.reports.funnels import MAX_STAGES, Funnel, Stage, load_funnels

GOOD = """
[funnels.purchase]
stages = [
  { name = "product", routes = ["/product/<slug>"] },
  { name = "cart", paths = ["/cart", "/basket"] },
  { name = "order", events = ["order_placed"] },
  { name = "paid" },
]

[funnels."sign up"]
stages = [{ name = "form", paths = ["/signup"] }, { name = "done", paths = ["/welcome"] }]
"""


def load(directory: Path, text: str | bytes) -> tuple[Funnel, ...]:
    path = directory / "funnels.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_funnels(path)


def stages(count: int) -> str:
    return "[funnels.f]\nstages = [" + ",".join(f'{{ name = "s{n}" }}' for n in range(count)) + "]"


def test_a_file_gives_its_funnels_in_order(tmp_path: Path) -> None:
    purchase, sign_up = load(tmp_path, GOOD)

    assert purchase == Funnel(
        "purchase",
        (
            Stage("product", 1, routes=("/product/<slug>",)),
            Stage("cart", 2, paths=("/cart", "/basket")),
            Stage("order", 3, events=("order_placed",)),
            Stage("paid", 4),
        ),
    )
    assert (sign_up.name, [stage.name for stage in sign_up.stages]) == ("sign up", ["form", "done"])


def test_the_most_stages_that_a_funnel_may_have_are_read(tmp_path: Path) -> None:
    (funnel,) = load(tmp_path, stages(MAX_STAGES))

    assert funnel.stages[-1].index == MAX_STAGES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[funnels.f", "is not valid TOML", id="no TOML"),
        pytest.param(b"\xff\xfe", "is not valid TOML", id="no UTF-8"),
        pytest.param("", "must have tables [funnels.NAME] and nothing else", id="empty"),
        pytest.param("funnels = 5", "must have tables [funnels.NAME] and nothing else", id="no table"),
        pytest.param("[funnels]", "must have tables [funnels.NAME] and nothing else", id="no funnel"),
        pytest.param(
            GOOD + "[other]", "must have tables [funnels.NAME] and nothing else", id="another table"
        ),
        pytest.param("[funnels]\nf = 5", "funnel 'f': expected `stages` alone", id="a number for a funnel"),
        pytest.param("[funnels.f]\nsteps = []", "funnel 'f': expected `stages` alone", id="another name"),
        pytest.param(stages(2) + "\nx = 1", "funnel 'f': expected `stages` alone", id="more than stages"),
        pytest.param(
            "[funnels.f]\nstages = 'a'", "expected `stages` alone, a list of 2 to 200", id="no list"
        ),
        pytest.param(stages(1), "a list of 2 to 200 stages", id="one stage"),
        pytest.param(stages(MAX_STAGES + 1), "a list of 2 to 200 stages", id="too many stages"),
        pytest.param("[funnels.f]\nstages = ['a', 'b']", "stage 1: expected a table with a name", id="texts"),
        pytest.param(
            '[funnels.f]\nstages = [{ name = "a" }, { paths = ["/"] }]',
            "stage 2: expected a table with a name",
            id="no name",
        ),
        pytest.param(
            '[funnels.f]\nstages = [{ name = "a" }, { name = "" }]',
            "stage 2: expected a table with a name",
            id="an empty name",
        ),
        pytest.param(
            '[funnels.f]\nstages = [{ name = "a" }, { name = "a" }]',
            "two stages are named 'a'; give each its own name",
            id="the same name twice",
        ),
        pytest.param(
            '[funnels.f]\nstages = [{ name = "a", path = "/" }, { name = "b" }]',
            "stage 1: unknown key 'path', expected name, paths, routes or events",
            id="an unknown key",
        ),
        pytest.param(
            '[funnels.f]\nstages = [{ name = "a", paths = "/" }, { name = "b" }]',
            "stage 1: `paths` must be a list of texts",
            id="a text for a list",
        ),
        pytest.param(
            '[funnels.f]\nstages = [{ name = "a", events = [1] }, { name = "b" }]',
            "stage 1: `events` must be a list of texts",
            id="a number for a text",
        ),
        pytest.param(
            '[funnels.f]\nstages = [{ name = "a", routes = [""] }, { name = "b" }]',
            "stage 1: `routes` must be a list of texts",
            id="an empty text",
        ),
    ],
)
def test_a_file_that_describes_no_funnel_is_refused_with_the_place(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(FunnelError) as caught:
        load(tmp_path, text)

    assert message in str(caught.value)
    assert str(tmp_path / "funnels.toml") in str(caught.value)


@pytest.mark.parametrize("name", ["missing.toml", ""], ids=["a missing file", "a directory"])
def test_a_file_that_cannot_be_read_is_an_error_of_the_settings(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match="Cannot read the funnel file"):
        load_funnels(tmp_path / name)
