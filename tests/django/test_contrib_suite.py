"""Contrib's own tests pass, unmodified, while tracking is active in every request of theirs."""

from __future__ import annotations

from pathlib import Path

from tests import contrib_suites


def test_contribs_tests_pass_with_tracking_in_every_request_of_theirs(tmp_path: Path) -> None:
    suite = contrib_suites.unpack("opentelemetry-instrumentation-django", tmp_path)
    alone = contrib_suites.run(suite)

    tracked = contrib_suites.run(suite, "django")

    assert tracked[:2] == alone[:2]
    assert tracked.passed >= 70
    assert tracked.annotated == tracked.served > 80
