from __future__ import annotations

import os
import subprocess
import sys

import pytest

from otel_usage.visits.keys import (
    GENERATED_SECRET_VARIABLE,
    KeyGenerator,
    SecretSource,
    derive_key,
    prepare_generated_secret,
)


@pytest.fixture
def no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GENERATED_SECRET_VARIABLE, "")


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {
        derive_key("s", "visit cookie"),
        derive_key("s", "client address"),
        derive_key("t", "visit cookie"),
    }

    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}


def test_text_and_bytes_of_a_secret_give_one_key() -> None:
    assert derive_key("sécret", "p") == derive_key("sécret".encode(), "p")
    assert derive_key("k\udcff", "p") == derive_key(b"k\xff", "p")


def test_the_setting_goes_before_the_frameworks_secret() -> None:
    assert SecretSource("setting").secret_for("framework") == "setting"


def test_the_frameworks_secret_is_used_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    assert SecretSource(None).secret_for(b"framework") == b"framework"
    assert caplog.records == []


@pytest.mark.usefixtures("no_secret")
def test_a_generated_secret_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    source = SecretSource(None)

    secrets = {source.secret_for(None), source.secret_for("")}

    assert len(secrets) == 1
    assert caplog.messages == [
        "The app has no secret key, so visits are signed with one generated at start: "
        "a restart ends all visits. Set OTEL_USAGE_SECRET to keep them."
    ]


@pytest.mark.usefixtures("no_secret")
def test_preparing_twice_keeps_the_secret() -> None:
    prepare_generated_secret()
    first = os.environ[GENERATED_SECRET_VARIABLE]

    prepare_generated_secret()

    assert os.environ[GENERATED_SECRET_VARIABLE] == first
    assert len(bytes.fromhex(first)) == 32


@pytest.mark.usefixtures("no_secret")
def test_a_spawned_worker_has_the_parents_generated_secret() -> None:
    prepare_generated_secret()
    code = "from otel_usage.visits.keys import SecretSource; print(SecretSource(None).secret_for(None))"

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert output.stdout.strip() == os.environ[GENERATED_SECRET_VARIABLE]


FORKING = """
import os
from otel_usage.visits.keys import SecretSource, key_generator, prepare_generated_secret

prepare_generated_secret()
key_generator.new_key()
for _ in range(2):
    if os.fork() == 0:
        print(SecretSource(None).secret_for(None), key_generator.new_key().hex(), flush=True)
        os._exit(0)
    os.wait()
print(SecretSource(None).secret_for(None), key_generator.new_key().hex(), flush=True)
"""


def test_forked_workers_share_the_secret_and_no_keys() -> None:
    environ = {**os.environ, GENERATED_SECRET_VARIABLE: ""}

    output = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=True, env=environ
    ).stdout

    secrets, keys = zip(*(line.split() for line in output.splitlines()), strict=True)
    assert len(secrets) == 3
    assert len(set(secrets)) == 1
    assert len(set(keys)) == 3


def test_keys_do_not_repeat() -> None:
    generator = KeyGenerator()

    assert len({generator.new_key() for _ in range(10_000)}) == 10_000
