"""A configuration of gunicorn whose workers wait for their files and for each other, however busy the machine is."""

from __future__ import annotations

import pytest

from tests.visits.cookieless_managers import have_patience, wait_for_each_other

have_patience(pytest.MonkeyPatch())
wait_for_each_other(pytest.MonkeyPatch())
