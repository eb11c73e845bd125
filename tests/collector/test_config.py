"""The real Collector accepts each of our files, and its parts are those that the builder puts in."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collector.process import CONFIG
from tests.collector.programs import BUILD_SCRIPT

BUILDER = CONFIG / "builder.yaml"
FILES = sorted(set(CONFIG.glob("*.yaml")) - {BUILDER})
KINDS = ("receivers", "processors", "exporters", "extensions")

QUICK_GO = """#!/bin/bash
set -e
case $1 in
    env) echo go1.26.0 ;;
    run)
        source=$(sed -n 's/^  output_path: //p' "$4")
        mkdir "$source"
        head -c 10000000 /dev/zero >"$source/otelcol-usage"
        chmod +x "$source/otelcol-usage"
        ;;
esac
"""

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def read_yaml(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document


@each_file
def test_the_collector_accepts_the_file_without_a_warning(otelcol: Path, path: Path, tmp_path: Path) -> None:
    validated = subprocess.run(
        [otelcol, "validate", f"--config={path}"], capture_output=True, text=True, cwd=tmp_path, timeout=180
    )

    assert (validated.returncode, validated.stdout, validated.stderr) == (0, "", "")


def test_the_builder_puts_in_exactly_the_components_that_the_files_use(otelcol: Path) -> None:
    used = {
        (kind, name.partition("/")[0]) for path in FILES for kind in KINDS for name in read_yaml(path)[kind]
    }
    listed = yaml.safe_load(subprocess.run([otelcol, "components"], capture_output=True, text=True).stdout)
    modules = {entry["gomod"] for kind in KINDS for entry in read_yaml(BUILDER)[kind]}

    built = {(kind, part["name"]) for kind in KINDS for part in listed[kind]}
    assert built == used
    assert {part["module"] for kind in KINDS for part in listed[kind]} == modules


def test_every_module_of_the_builder_is_of_its_own_version() -> None:
    builder = read_yaml(BUILDER)
    version = builder["dist"]["version"]

    versions = {entry["gomod"].rpartition(" v")[2] for kind in KINDS for entry in builder[kind]}
    assert versions == {version}


def test_the_build_script_says_that_go_is_missing(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "sed", "sha256sum", "cut", "bash", "env"):
        (tools / name).symlink_to(_path_of(name))

    refused = _build(tools, tmp_path)

    assert refused.returncode == 1
    assert "Go is not on the PATH; install Go 1." in refused.stderr
    assert list(tmp_path.glob("cache/**/otelcol*")) == []


def test_the_build_script_says_that_go_is_too_old(tmp_path: Path) -> None:
    old_go = tmp_path / "go"
    old_go.write_text("#!/bin/sh\necho go1.21.3\n")
    old_go.chmod(0o755)

    refused = _build(tmp_path, tmp_path, os.environ["PATH"])

    assert refused.returncode == 1
    assert re.search(r"Go is go1\.21\.3; expected go1\.\d+ or newer", refused.stderr)


def test_a_built_collector_is_not_built_again(tmp_path: Path) -> None:
    name = f"otelcol-{hashlib.sha256(BUILDER.read_bytes()).hexdigest()[:16]}"
    built = tmp_path / "cache" / "otel-usage" / name
    built.parent.mkdir(parents=True)
    built.touch(mode=0o755)

    found = _build(tmp_path, tmp_path, os.environ["PATH"])

    assert (found.returncode, found.stdout, found.stderr) == (0, f"{built}\n", "")


def test_two_builds_at_once_leave_one_whole_program(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    # Compiling takes minutes; what is tried here is what the script does around it.
    (tools / "go").write_text(QUICK_GO)
    (tools / "go").chmod(0o755)

    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: _build(tools, tmp_path, os.environ["PATH"]), range(2))

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout
    assert [path.name for path in (tmp_path / "cache" / "otel-usage").iterdir()] == [
        Path(first.stdout.strip()).name
    ]


def _path_of(name: str) -> str:
    return subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()


def _build(first_on_path: Path, home: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": f"{first_on_path}:{path}".rstrip(":"),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
    }
    return subprocess.run([BUILD_SCRIPT], capture_output=True, text=True, env=environ, timeout=180)
