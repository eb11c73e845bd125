"""Reads the accounts out of `users.sql`, and serves an engine that gives whoever asks the rights of one of them.

The embedded engine keeps no accounts: it knows the one that its configuration names. So the rights of an account in
`users.sql` are written into that configuration, and the engine itself allows and refuses. What it cannot do is
listed in `WITHOUT`.

Run as `python -m tests.accounts DATA ACCOUNT`, it prints `ready URL` and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch
from xml.sax.saxutils import escape

from otel_usage.server import engine_config
from tests.docs_tables import ROOT

USERS_FILE = ROOT / "collector_config" / "clickhouse" / "users.sql"
WITHOUT = "CHANGEABLE_IN_READONLY"
"""A server allows it by `settings_constraints_replace_previous`, which is on in the packaged configuration."""


class Account(NamedTuple):
    """What `users.sql` says of one account."""

    grants: tuple[str, ...]
    """Without the account's name: `GRANT INSERT ON otel_usage.events`."""
    settings: Mapping[str, str]
    """Setting to what follows its equals sign."""


def statements(sql: str) -> list[str]:
    """Return the statements of a file whose texts hold no semicolons and no comments."""
    code = re.sub(r"^\s*--.*$", "", sql, flags=re.MULTILINE)
    return [" ".join(statement.split()) for statement in code.split(";") if statement.strip()]


def read_accounts(sql: str) -> dict[str, Account]:
    """Return the accounts that the statements make, by name."""
    accounts: dict[str, Account] = {}
    for statement in statements(sql):
        if made := re.fullmatch(r"CREATE USER IF NOT EXISTS (\w+) IDENTIFIED .*", statement):
            accounts[made[1]] = Account((), {})
        elif granted := re.fullmatch(r"(GRANT .+) TO (\w+)", statement):
            account = accounts[granted[2]]
            accounts[granted[2]] = account._replace(grants=(*account.grants, granted[1]))
        elif limited := re.fullmatch(r"ALTER USER (\w+) SETTINGS (.+)", statement):
            settings = dict(part.split(" = ", 1) for part in limited[2].split(", "))
            accounts[limited[1]] = accounts[limited[1]]._replace(settings=settings)
        else:
            raise AssertionError(f"{statement!r} is no statement that these tests understand")
    return accounts


def users_xml(accounts: Mapping[str, Account], name: str) -> str:
    """Return the engine's configuration of users: all accounts, and `default`, whom it serves, as one of them."""
    users, profiles = "", ""
    for user, account in {**accounts, "default": accounts[name]}.items():
        # A request begins in the database `default`, which `serve` enters with USE, and a server without asking.
        given = ("GRANT SHOW DATABASES ON default.*", *account.grants)
        grants = "".join(f"<query>{escape(grant)}</query>" for grant in given)
        profiles += f"<{user}>{_settings_xml(account.settings)}</{user}>"
        users += (
            f"<{user}><password></password><networks><ip>::/0</ip></networks><profile>{user}</profile>"
            f"<quota>default</quota><grants>{grants}</grants></{user}>"
        )
    return (
        f"<clickhouse><profiles>{profiles}</profiles><quotas><default></default></quotas>"
        f"<users>{users}</users></clickhouse>"
    )


def _settings_xml(settings: Mapping[str, str]) -> str:
    values, constraints = "", ""
    for name, text in settings.items():
        value, _, limit = text.removesuffix(f" {WITHOUT}").partition(" MAX ")
        values += f"<{name}>{value}</{name}>"
        constraints += f"<{name}><max>{limit}</max></{name}>" if limit else ""
    return f"{values}<constraints>{constraints}</constraints>"


def write_config(directory: Path, accounts: Mapping[str, Account], name: str) -> Path:
    """Write the engine's configuration as `serve` does, with the accounts."""
    config = engine_config.write_config(directory)
    (directory / "users.xml").write_text(users_xml(accounts, name), "utf-8")
    return config


def give_views_to(data: Path, account: str) -> None:
    """Make an account the definer of the views that `default` made in its place; while no engine is open."""
    for definition in data.rglob("*.sql"):
        text = definition.read_text("utf-8")
        definition.write_text(text.replace("DEFINER = default ", f"DEFINER = {account} "), "utf-8")


async def serve_as(data: Path, name: str) -> None:
    """Serve the ClickHouse HTTP interface with an account's rights until the standard input ends.

    Args:
        data: the data directory.
        name: the account.
    """
    from otel_usage.server import engine as engine_module
    from otel_usage.server.bodies import BodyReader
    from otel_usage.server.clickhouse_http import ClickHouseHttp
    from otel_usage.server.port import Port
    from otel_usage.server.sessions import Sessions
    from otel_usage.server.sql_guard import SqlGuard

    accounts = read_accounts(USERS_FILE.read_text("utf-8"))
    # The one place where `serve` gives itself the rights it needs.
    config = partial(write_config, accounts=accounts, name=name)
    with patch.object(engine_module, "write_config", config):
        engine = engine_module.Engine(data)
    sessions = Sessions(engine, "default")
    reader = BodyReader(1 << 24)
    front = ClickHouseHttp(engine, SqlGuard(engine.catalogue()), sessions, ThreadPoolExecutor(4), reader)
    port = Port("127.0.0.1", 0, "--http-port")
    await port.start(front.app)
    print(f"ready {port.url}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await port.finish()
    sessions.close()
    engine.close()


if __name__ == "__main__":
    asyncio.run(serve_as(Path(sys.argv[1]), sys.argv[2]))
