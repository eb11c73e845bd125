"""A headless browser for the tests that need a real one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

_CHROMIUM = shutil.which("chromium")
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_IS_REQUIRED = os.environ.get("OTEL_USAGE_REQUIRE_BROWSER") == "1"

needs_browser = pytest.mark.skipif(
    _CHROMIUM is None and not _IS_REQUIRED,
    reason="there is no program `chromium`; with OTEL_USAGE_REQUIRE_BROWSER=1 this is a failure",
)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run Chromium for the block; a profile of its own, nothing of it stays."""
    assert _CHROMIUM is not None, "OTEL_USAGE_REQUIRE_BROWSER is 1, and there is no program `chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()
