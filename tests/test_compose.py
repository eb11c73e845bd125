"""docker-compose.yml starts what the other tests test. Docker runs nowhere here; what can be known without it is checked."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_usage.demo.stacks import DJANGO, FLASK, Stack
from otel_usage.dsn import parse_dsn
from otel_usage.environment import unknown_settings, unusable_settings
from otel_usage.reports.funnels import load_funnels
from otel_usage.settings import Settings
from tests.accounts import USERS_FILE, read_accounts
from tests.docs_tables import DOCS, ROOT
from tests.go_programs import build_program

COMPOSE_FILE = ROOT / "docker-compose.yml"
ENV_EXAMPLE = ROOT / ".env.example"
PAGE = DOCS / "compose.md"
GRAFANA = ROOT / "collector_config" / "grafana"

PUBLISHED = {
    # Image: where its project, or somebody who runs it, names this very tag. Looked up on 2026-11-21.
    "clickhouse/clickhouse-server:26.8.15.10": "26.8 is an LTS release (clickhouse.com/docs/whats-new/changelog)",
    "otel/opentelemetry-collector-contrib:0.161.0": "appVersion of the project's Helm chart opentelemetry-collector 0.174.0",
    "grafana/grafana:13.2.2": "used by tag in several public compose files; grafana.com/docs/grafana/v13.3 follows it",
    "python:3.12.12-slim-bookworm": "used by tag and digest 593bd06e in several public Dockerfiles",
    "busybox:1.37.0-musl": "supported tags in docker-library/docs, busybox/README.md",
}
PLUGIN = "grafana-clickhouse-datasource@4.23.5"  # grafana.com/grafana/plugins/grafana-clickhouse-datasource, 2026-11-21


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as it is written, with its anchors resolved."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))
    return document


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.env`, made with the command that its example gives."""
    directory = tmp_path_factory.mktemp("env")
    shutil.copy(ENV_EXAMPLE, directory)
    subprocess.run(["sh", "-c", making_command()], cwd=directory, check=True)
    return directory / ".env"


@pytest.fixture(scope="module")
def compose_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `docker compose config` runs on: the Compose project's own library."""
    program = tmp_path_factory.mktemp("compose") / "compose"
    if shutil.which("go") is not None:
        assert build_program(ROOT / "tests" / "compose", program) == ""
        return program
    if os.environ.get("OTEL_USAGE_REQUIRE_COLLECTOR") == "1":
        pytest.fail("no Go on the PATH to build tests/compose with")
    pytest.skip("no Go on the PATH to build tests/compose with")


@pytest.fixture(scope="module")
def project(compose_program: Path, environment: Path) -> dict[str, Any]:
    """The file as Compose understands it, with the secrets filled in."""
    read = subprocess.run([compose_program, COMPOSE_FILE, environment], capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")
    document: dict[str, Any] = json.loads(read.stdout)
    return document


def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def dockerfile_lines(compose: dict[str, Any], word: str) -> list[list[str]]:
    """Return the words of every line of the inline Dockerfiles that begins with a word."""
    return [
        line.split()
        for service in services(compose).values()
        for line in service.get("build", {}).get("dockerfile_inline", "").splitlines()
        if line.startswith(f"{word} ")
    ]


def making_command() -> str:
    """Return the command that the example gives, which makes `.env` of it."""
    command = re.search(r"^# +(\(umask .*)$", ENV_EXAMPLE.read_text("utf-8"), re.MULTILINE)
    assert command is not None
    return command[1]


def secrets_of(environment: Path) -> dict[str, str]:
    lines = environment.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_compose_accepts_the_file_with_the_example_filled_in(project: dict[str, Any]) -> None:
    assert set(services(project)) == {
        "clickhouse",
        "accounts",
        "migrate",
        "collector",
        "flask-shop",
        "django-shop",
        "grafana",
    }


def test_compose_refuses_a_key_that_the_specification_does_not_know(
    compose_program: Path, environment: Path, tmp_path: Path
) -> None:
    misspelt = tmp_path / "docker-compose.yml"
    misspelt.write_text(COMPOSE_FILE.read_text("utf-8").replace("healthcheck:", "healthchek:"), "utf-8")

    read = subprocess.run([compose_program, misspelt, environment], capture_output=True, text=True)

    assert read.returncode == 1
    assert "healthchek" in read.stderr


def test_compose_refuses_to_start_with_an_unfilled_example(compose_program: Path) -> None:
    read = subprocess.run([compose_program, COMPOSE_FILE, ENV_EXAMPLE], capture_output=True, text=True)

    assert read.returncode == 1
    assert "copy .env.example to .env and fill it in" in read.stderr


def test_every_secret_of_the_example_is_asked_for_and_none_else(compose: dict[str, Any]) -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_FILE.read_text("utf-8")))
    example = ENV_EXAMPLE.read_text("utf-8")

    assert set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE)) == asked
    assert re.findall(r"^[A-Z_]+=.+$", example, re.MULTILINE) == []


def test_every_secret_of_a_made_environment_is_its_own_and_fits_into_an_address(environment: Path) -> None:
    secrets = secrets_of(environment)

    assert len(set(secrets.values())) == len(secrets) == 8
    assert [value for value in secrets.values() if not re.fullmatch(r"[\w-]{43}", value, re.ASCII)] == []


def test_a_made_environment_is_for_its_maker_alone_and_is_not_made_twice(environment: Path) -> None:
    made = environment.read_text("utf-8")

    again = subprocess.run(["sh", "-c", making_command()], cwd=environment.parent, capture_output=True)

    assert (again.returncode != 0, environment.read_text("utf-8")) == (True, made)
    assert environment.stat().st_mode & 0o777 == 0o600


def test_no_secret_stands_in_the_file(compose: dict[str, Any]) -> None:
    names = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")

    given = {
        value
        for service in services(compose).values()
        for name, value in service.get("environment", {}).items()
        if names.search(name)
    }
    assert given
    assert [value for value in given if not re.fullmatch(r"\$\{[A-Z_]+(:\?.*)?\}", value)] == []


def test_every_image_is_one_that_its_project_publishes(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in services(compose).values() if "build" not in service}
    bases = {words[1] for words in dockerfile_lines(compose, "FROM")}

    assert images | bases == set(PUBLISHED)
    assert [image for image in PUBLISHED if not re.search(r":\d+\.\d+\.\d+", image)] == []


def test_the_collector_is_of_the_version_that_the_tests_run(compose: dict[str, Any]) -> None:
    builder = yaml.safe_load((ROOT / "collector_config" / "builder.yaml").read_text("utf-8"))

    assert [words[1] for words in dockerfile_lines(compose, "FROM") if "collector" in words[1]][0].endswith(
        f":{builder['dist']['version']}"
    )


def test_every_published_port_is_on_loopback_and_used_once(project: dict[str, Any]) -> None:
    ports = [port for service in services(project).values() for port in service.get("ports", [])]

    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert sorted(port["published"] for port in ports) == ["3000", "4317", "4318", "8000", "8001", "8123"]


def test_what_is_mounted_and_copied_exists(compose: dict[str, Any]) -> None:
    volumes = [volume for service in services(compose).values() for volume in service.get("volumes", [])]
    mounted = [volume.partition(":")[0] for volume in volumes]
    copied = [
        name
        for words in dockerfile_lines(compose, "COPY")
        if not words[1].startswith("--from")
        for name in words[1:-1]
    ]

    files = [name for name in mounted if name.startswith("./")] + copied

    assert len(files) >= 8
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert {name for name in mounted if not name.startswith("./")} == set(compose["volumes"])


def test_what_is_mounted_from_here_is_read_only(project: dict[str, Any]) -> None:
    binds = [
        volume
        for service in services(project).values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    ]

    assert [volume["source"] for volume in binds if not volume.get("read_only")] == []


def test_every_service_has_a_health_check_or_ends(compose: dict[str, Any]) -> None:
    ends = {name for name, service in services(compose).items() if service["restart"] == "no"}
    checked = {name for name, service in services(compose).items() if "healthcheck" in service}

    assert ends == {"accounts", "migrate"}
    assert checked == set(services(compose)) - ends


def test_a_dependency_waits_for_what_the_other_service_has(compose: dict[str, Any]) -> None:
    waits = {
        (name, condition["condition"])
        for service in services(compose).values()
        for name, condition in service.get("depends_on", {}).items()
    }

    assert waits == {
        ("clickhouse", "service_healthy"),
        ("accounts", "service_completed_successfully"),
        ("migrate", "service_completed_successfully"),
        ("collector", "service_healthy"),
    }


def test_only_clickhouse_keeps_the_rights_that_a_container_starts_with(compose: dict[str, Any]) -> None:
    # Its entrypoint gives the volume to its own account and then becomes that account.
    confined = {name for name, service in services(compose).items() if service.get("cap_drop") == ["ALL"]}

    assert confined == set(services(compose)) - {"clickhouse"}


@pytest.mark.parametrize(("service", "stack"), [("flask-shop", FLASK), ("django-shop", DJANGO)])
def test_a_shop_is_started_as_the_demo_starts_it(compose: dict[str, Any], service: str, stack: Stack) -> None:
    shop = services(compose)[service]
    launcher, program, *arguments = shop["command"]

    assert (launcher, program) == ("opentelemetry-instrument", stack.program)
    assert ["127.0.0.1:0" if word == "0.0.0.0:8000" else word for word in arguments] == list(stack.arguments)
    assert stack.environment.items() <= shop["environment"].items()


def test_the_settings_of_every_service_can_be_used(project: dict[str, Any]) -> None:
    for name, service in services(project).items():
        environ = service.get("environment", {})
        if name in ("migrate", "flask-shop", "django-shop"):
            settings = Settings.load(
                environ={key: value for key, value in environ.items() if "FUNNELS" not in key}
            )
            assert [*unknown_settings(environ), *unusable_settings(settings)] == [], name


def test_one_shop_writes_directly_and_the_other_through_the_collector(project: dict[str, Any]) -> None:
    flask, django = (services(project)[name]["environment"] for name in ("flask-shop", "django-shop"))

    assert parse_dsn(flask["OTEL_USAGE_DSN"]).host == "clickhouse"
    assert "OTEL_USAGE_EXPORTER" not in flask
    assert (django["OTEL_USAGE_EXPORTER"], django["OTEL_USAGE_OTLP_ENDPOINT"]) == (
        "otlp",
        "http://collector:4318",
    )
    assert "OTEL_USAGE_DSN" not in django


def test_the_funnels_of_the_shops_are_those_of_the_demo(compose: dict[str, Any]) -> None:
    source, target, _ = services(compose)["flask-shop"]["volumes"][0].split(":")

    assert [funnel.name for funnel in load_funnels(ROOT / source)] == ["purchase", "signup"]
    assert services(compose)["django-shop"]["environment"]["OTEL_USAGE_FUNNELS"] == target


def test_every_component_has_an_account_of_its_own_and_its_password(
    project: dict[str, Any], environment: Path
) -> None:
    secrets = secrets_of(environment)
    migrate, shop = (
        parse_dsn(services(project)[name]["environment"]["OTEL_USAGE_DSN"])
        for name in ("migrate", "flask-shop")
    )
    collector, grafana = (services(project)[name]["environment"] for name in ("collector", "grafana"))

    used = {
        migrate.username: migrate.password,
        shop.username: shop.password,
        collector["CLICKHOUSE_USER"]: collector["CLICKHOUSE_PASSWORD"],
        grafana["CLICKHOUSE_USER"]: grafana["CLICKHOUSE_PASSWORD"],
    }
    assert used == {
        account: secrets[f"CLICKHOUSE_{account.rpartition('_')[2].upper()}_PASSWORD"]
        for account in read_accounts(USERS_FILE.read_text("utf-8"))
    }


def test_the_collector_gets_the_variables_that_its_file_reads(compose: dict[str, Any]) -> None:
    collector = services(compose)["collector"]
    source, target, _ = collector["volumes"][0].split(":")
    read = set(re.findall(r"\$\{env:([A-Z_]+)", (ROOT / source).read_text("utf-8")))

    assert collector["command"] == [f"--config={target}"]
    assert read - {"CLICKHOUSE_DATABASE"} == set(collector["environment"]) - {"GOMEMLIMIT"}


def test_the_collector_cleans_up_before_its_memory_is_full(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "collector_config" / "local.yaml").read_text("utf-8"))
    limit = int(services(compose)["collector"]["environment"]["GOMEMLIMIT"].removesuffix("MiB"))

    assert 0.7 < limit / config["processors"]["memory_limiter"]["limit_mib"] < 0.85


def test_the_collector_checks_its_health_where_its_file_offers_it(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "collector_config" / "local.yaml").read_text("utf-8"))
    port = config["extensions"]["health_check"]["endpoint"].rpartition(":")[2]

    assert services(compose)["collector"]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{port}"


def test_grafana_gets_the_variables_and_the_folders_that_its_provisioning_reads(
    compose: dict[str, Any],
) -> None:
    grafana = services(compose)["grafana"]
    files = sorted((GRAFANA / "provisioning").rglob("*.yaml"))
    text = "\n".join(path.read_text("utf-8") for path in files)
    code = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE).replace("$$", "")
    targets = {volume.split(":")[1] for volume in grafana["volumes"]}

    assert {path.parent.name for path in files} == {"datasources", "dashboards", "alerting"}
    assert set(re.findall(r"\$\{?([A-Z][A-Z_]+)", code)) <= set(grafana["environment"])
    assert set(re.findall(r"^\s*path: (\S+)$", code, re.MULTILINE)) <= targets


def test_grafana_installs_the_plugin_of_the_data_source_and_lets_nobody_in(compose: dict[str, Any]) -> None:
    environ = services(compose)["grafana"]["environment"]

    assert environ["GF_PLUGINS_PREINSTALL_SYNC"] == PLUGIN
    assert environ["GF_AUTH_ANONYMOUS_ENABLED"] == environ["GF_USERS_ALLOW_SIGN_UP"] == "false"


def compose_commands() -> list[list[str]]:
    lines = re.findall(r"^\$ docker compose (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("command", compose_commands(), ids=" ".join)
def test_a_command_of_the_page_names_services_of_the_file(
    compose: dict[str, Any], command: list[str]
) -> None:
    name, *arguments = command

    assert name in ("up", "down", "run")
    if name == "run":
        words = [word for word in arguments if not word.startswith("--")]
        assert words[:2] == ["migrate", "otel-usage"]
        assert "otel-usage" in services(compose)["migrate"]["command"]


def test_the_page_makes_the_environment_as_the_example_says() -> None:
    assert f"\n$ {making_command()}\n" in PAGE.read_text("utf-8")


def test_the_page_lists_every_published_port_and_every_account(project: dict[str, Any]) -> None:
    page = PAGE.read_text("utf-8")
    ports = {port["published"] for service in services(project).values() for port in service.get("ports", [])}

    assert {port for port in ports if f"localhost:{port}" not in page} == set()
    assert {
        name for name in read_accounts(USERS_FILE.read_text("utf-8")) if f"| `{name}` |" not in page
    } == set()


def test_the_image_of_the_shops_needs_no_embedded_engine() -> None:
    without = "import sys; sys.modules.update(dict.fromkeys(['chdb', 'starlette', 'uvicorn'])); "
    migrate = "from otel_usage.cli import main; sys.argv = ['otel-usage', 'migrate', '--help']; main()"

    subprocess.run([sys.executable, "-c", without + migrate], check=True, capture_output=True)
