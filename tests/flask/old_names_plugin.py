"""pytest plug-in for Flask-Track-Usage's own tests: they find our compatibility module under the old name.

Loaded with `-p tests.flask.old_names_plugin` into a process of its own. The tests were written for an older Python,
which had `assertEquals`, and an older Werkzeug, whose test client called itself `werkzeug`.
"""

from __future__ import annotations

import sys
import unittest
from typing import Any

from flask.testing import FlaskClient

from otel_usage.flask import compat

sys.modules["flask_track_usage"] = compat

test_case: Any = unittest.TestCase
test_case.assertEquals = test_case.assertEqual

_init = FlaskClient.__init__


def _init_as_of_old(self: FlaskClient, *args: Any, **kwargs: Any) -> None:
    _init(self, *args, **kwargs)
    self.environ_base["HTTP_USER_AGENT"] = self.environ_base["HTTP_USER_AGENT"].lower()


FlaskClient.__init__ = _init_as_of_old  # type: ignore[method-assign]
