"""The documentation says what the code does: every name, table, example and link in it is checked here."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from otel_usage import attributes
from otel_usage.cli import cli
from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.instrumentation.redaction import REDACTED, redact_query
from otel_usage.pipeline.rows import COLUMNS
from otel_usage.reports import REPORTS
from otel_usage.reports.funnels import load_funnels
from otel_usage.settings import Settings, describe
from tests.docs_tables import DOCS, ROOT, WRITTEN_TABLES, split_page
from tests.serving import ServeProcess

PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(DOCS.rglob("*.md")),
)
CONFIG_FILES = (
    ROOT / "docker-compose.yml",
    ROOT / ".env.example",
    *sorted(path for path in (ROOT / "collector_config").rglob("*") if path.is_file()),
)


@pytest.fixture(scope="module")
def client(serve: ServeProcess) -> Iterator[ClickHouse]:
    connection = connect(serve.dsn)
    yield connection
    connection.close()


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_blocks(language: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each code block of a language, indented ones too."""
    pattern = re.compile(rf"^( *)```{language}\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            indent = match[1]
            block = "".join(row.removeprefix(indent) for row in match[2].splitlines(keepends=True))
            yield f"{page_name(page)}:{line}", block


def blocks(language: str) -> list[object]:
    return [pytest.param(block, id=place) for place, block in code_blocks(language)]


def without_code(text: str) -> str:
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual Markdown renderers make them."""
    headings = re.findall(r"^#+ +(.*)$", without_code(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("page", "name", "write"), WRITTEN_TABLES, ids=[name for _, name, _ in WRITTEN_TABLES]
)
def test_a_table_from_the_code_is_up_to_date(page: str, name: str, write: Callable[[], str]) -> None:
    _, table, _ = split_page((DOCS / page).read_text("utf-8"), name)

    assert table.strip() == write(), "Run: python -m tests.docs_tables"


def test_every_environment_variable_that_is_named_exists() -> None:
    known = {setting.name for setting in describe(Settings())}

    named = {
        (page_name(page), name)
        for page in (*PAGES, *CONFIG_FILES)
        for name in re.findall(r"\bOTEL_USAGE_[A-Z_]+", page.read_text("utf-8"))
    }

    assert {(page, name) for page, name in named if name not in known} == set()


def test_every_span_attribute_is_documented() -> None:
    page = (DOCS / "attributes.md").read_text("utf-8")
    wire_names = [
        value.removesuffix(".") + (".*" if value.endswith(".") else "")
        for name, value in vars(attributes).items()
        if name.isupper() and isinstance(value, str) and "." in value
    ]

    assert len(wire_names) > 40
    assert [name for name in wire_names if f"`{name}`" not in page] == []


def test_every_event_name_of_ours_is_documented() -> None:
    page = (DOCS / "attributes.md").read_text("utf-8")

    assert [name for name in attributes.RESERVED_EVENT_NAMES if f"`{name}`" not in page] == []


def test_every_inserted_column_is_documented() -> None:
    pages = "".join((DOCS / page).read_text("utf-8") for page in ("attributes.md", "schema.md"))

    assert [column.name for column in COLUMNS if f"`{column.name.removesuffix('_bytes')}`" not in pages] == []


def test_the_secret_parameters_of_the_privacy_page_are_redacted() -> None:
    section = (DOCS / "privacy.md").read_text("utf-8").partition("These are ")[2].partition("\n")[0]
    parameters = re.findall(r"`([a-z_]+)`", section)

    assert len(parameters) > 20
    assert [name for name in parameters if redact_query(f"{name}=x") != f"{name}={REDACTED}"] == []


@pytest.mark.parametrize("block", blocks("toml"))
def test_a_toml_example_is_a_funnel_file(block: str, tmp_path: Path) -> None:
    path = tmp_path / "funnels.toml"
    path.write_text(block, "utf-8")

    assert load_funnels(path)


@pytest.mark.parametrize("block", blocks("python"))
def test_a_python_example_runs(block: str, tmp_path: Path) -> None:
    # In a process of its own, because an example may configure the process.
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-"],
        input=block,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )

    assert (finished.returncode, finished.stderr) == (0, "")


def commands() -> list[object]:
    """Return the arguments of each `otel-usage` in a console example."""
    found: list[object] = []
    for place, block in code_blocks("console"):
        for line in block.replace("\\\n", "").splitlines():
            program, _, arguments = line.partition("otel-usage ")
            if line.startswith("$ ") and arguments and "pip install" not in program:
                found.append(pytest.param(shlex.split(arguments.rstrip("& ")), id=f"{place} {arguments}"))
    return found


@pytest.mark.parametrize("arguments", commands())
def test_a_command_of_the_docs_is_understood(arguments: list[str]) -> None:
    group: click.Group = cli
    while isinstance(command := group.commands[arguments[0]], click.Group):
        group, arguments = command, arguments[1:]

    context = command.make_context(arguments[0], arguments[1:])

    assert arguments[0] != "report" or context.params["is_list"] or context.params["name"] in REPORTS


@pytest.mark.parametrize("block", blocks("sql"))
def test_an_sql_example_has_an_answer(block: str, client: ClickHouse) -> None:
    assert client.query(f"DESCRIBE TABLE ({block})").rows
    client.query(block)


def test_the_schema_page_lists_the_columns_that_people_query(client: ClickHouse) -> None:
    section = (
        (DOCS / "schema.md").read_text("utf-8").partition("## What to query")[2].partition("## Examples")[0]
    )
    listed = {
        match[1]: re.findall(r"`(\w+)`", match[2])
        for match in re.finditer(r"^\| `(\w+)` \|[^|]*\| (`[^|]*) \|$", section, re.MULTILINE)
    }

    columns = {name: [row[0] for row in client.query(f"DESCRIBE TABLE {name}").rows] for name in listed}

    assert len(listed) >= 10
    assert {name: sorted(names) for name, names in listed.items()} == {
        name: sorted(names) for name, names in columns.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8"))):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)

    assert broken == []


def test_the_index_links_every_page() -> None:
    linked = set(re.findall(r"\]\(([a-z/-]+\.md)", (DOCS / "index.md").read_text("utf-8")))

    assert {page.name for page in DOCS.glob("*.md")} - linked == {"index.md"}


def test_every_make_command_that_is_named_is_a_recipe() -> None:
    recipes = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    named = {
        (page_name(page), name)
        for page in PAGES
        for name in re.findall(r"(?:`|\$ |^)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)
    }

    assert {(page, name) for page, name in named if name not in recipes} == set()


def test_the_changelog_has_a_section_for_what_is_not_released() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_no_line_holds_two_sentences(page: Path) -> None:
    prose = re.sub(r"`[^`]*`", "code", without_code(page.read_text("utf-8")))
    lines = [line for line in prose.splitlines() if not line.startswith(("|", "#"))]

    assert [line for line in lines if re.search(r"[a-z)]{2}[.?!] [A-Z]", line)] == []
