"""Plug-ins that installed packages register by an entry point."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_usage.visits.plugins import PluginRegistry
from otel_usage.visits.visit import Visit
from tests.visits.plugin_doubles import LATER


@pytest.fixture
def plugins() -> PluginRegistry:
    return PluginRegistry()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install a distribution with entry points and a module of its own."""

    def install(entries: str, code: str) -> None:
        metadata = tmp_path / "acme_plugins-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugins\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[otel_usage_plugin]\n{entries}\n")
        (tmp_path / "acme_plugins.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "acme_plugins", raising=False)

    return install


ACME = """
calls = []

def function(visit):
    calls.append("function")

class Class:
    def record_request(self, visit):
        calls.append("class")

instance = Class()

def record_request(visit):
    calls.append("module")
"""


def test_plugins_of_packages_come_first_and_by_name(
    plugins: PluginRegistry, package: Callable[[str, str], None]
) -> None:
    package(
        "d = acme_plugins\nc = acme_plugins:Class\na = acme_plugins:function\nb = acme_plugins:instance", ACME
    )
    mine: list[Visit] = []
    plugins.enable(mine.append)

    plugins.load_entry_points()
    plugins.run(LATER)

    import acme_plugins  # type: ignore[import-not-found]

    assert acme_plugins.calls == ["function", "class", "class", "module"]
    assert [counts.name for counts in plugins.counts()] == [
        "acme_plugins.function",
        "acme_plugins.Class",
        "acme_plugins.Class",
        "acme_plugins",
        "list.append",
    ]
    assert mine == [LATER]


def test_a_package_that_is_broken_is_named_and_the_others_work(
    plugins: PluginRegistry, package: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    package(
        "a = acme_nowhere:x\nb = acme_plugins:missing\nc = acme_plugins:calls\nd = acme_plugins:function",
        ACME,
    )

    plugins.load_entry_points()

    assert [counts.name for counts in plugins.counts()] == ["acme_plugins.function"]
    assert len(caplog.messages) == 3
    assert "Could not load the visit plug-in 'a': ModuleNotFoundError" in caplog.messages[0]
    assert "Could not load the visit plug-in 'b': AttributeError" in caplog.messages[1]
    assert "builtins.list is no visit plug-in: it has no record_request(visit)" in caplog.messages[2]


def test_what_a_package_registers_the_app_can_enable_without_a_second_call_and_disable(
    plugins: PluginRegistry, package: Callable[[str, str], None]
) -> None:
    package("a = acme_plugins:instance\nb = acme_plugins:instance", ACME)
    import acme_plugins

    plugins.enable(acme_plugins.instance)
    plugins.load_entry_points()
    plugins.load_entry_points()
    plugins.enable(acme_plugins.instance)
    plugins.run(LATER)

    assert acme_plugins.calls == ["class"]
    plugins.disable(acme_plugins.instance)
    assert not plugins.enabled
