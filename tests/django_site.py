"""A real Django in the tests' own process, with a database file that each test finds as the first one left it."""

from __future__ import annotations

from collections.abc import Iterator

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test.utils import setup_test_environment, teardown_test_environment

from tests.django.project import settings as project


@pytest.fixture(scope="session")
def django_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set Django up, once: a process has one."""
    values = {name: value for name, value in vars(project).items() if name.isupper()}
    database = {**project.DATABASES["default"], "NAME": str(tmp_path_factory.mktemp("site") / "site.sqlite3")}
    # By hand, because the launcher's own tests must find no DJANGO_SETTINGS_MODULE in the environment.
    settings.configure(**{**values, "DATABASES": {"default": database}})
    django.setup()
    setup_test_environment()
    call_command("migrate", run_syncdb=True, verbosity=0)
    yield
    teardown_test_environment()


@pytest.fixture
def site(django_site: None) -> Iterator[None]:
    """The site with an empty database."""
    yield
    call_command("flush", interactive=False, verbosity=0)
    connections.close_all()
