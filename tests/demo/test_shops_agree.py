"""The shops are one shop: the same paths, statuses and pages in each framework."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.demo.shop_answers import REQUESTS, Answer


@pytest.fixture(scope="module")
def answers() -> dict[str, list[Answer]]:
    """What each shop says to the same visitor."""
    command = [sys.executable, "-W", "error", "-m", "tests.demo.shop_answers"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert run.returncode == 0, run.stderr
    return {shop: [Answer(**each) for each in given] for shop, given in json.loads(run.stdout).items()}


@pytest.mark.parametrize("shop", ["django", "django by ASGI"])
@pytest.mark.parametrize(
    "position", range(len(REQUESTS)), ids=lambda position: f"{position} {' '.join(REQUESTS[position][:2])}"
)
def test_each_request_is_answered_as_in_flask(
    answers: dict[str, list[Answer]], shop: str, position: int
) -> None:
    assert answers[shop][position] == answers["flask"][position]


def test_the_requests_meet_every_kind_of_answer(answers: dict[str, list[Answer]]) -> None:
    assert {answer.status for answer in answers["flask"]} == {200, 302, 400, 404, 405, 500}
