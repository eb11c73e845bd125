from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_usage.errors import SettingError
from otel_usage.visits.conformance import VisitManagerConformance
from otel_usage.visits.cookie import CookieVisitManager
from otel_usage.visits.cookieless import CookielessVisitManager
from otel_usage.visits.database import SqlalchemyVisitManager
from otel_usage.visits.loading import find_visit_manager
from otel_usage.visits.manager import BaseVisitManager
from otel_usage.visits.session import SessionVisitManager

ACME = """
from otel_usage import BaseVisitManager

class Manager(BaseVisitManager):
    pass

class Kinds:
    class Inner(Manager):
        pass

def make():
    return Manager()

def make_nothing():
    return None

instance = Manager()
number = 7

class Stranger:
    pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a distribution with entry points, and a module `acme_visits` of its own."""

    def install(entries: str = "", code: str = ACME) -> None:
        metadata = tmp_path / "acme_visits-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-visits\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[otel_usage_visit_manager]\n{entries}\n")
        (tmp_path / "acme_visits.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "acme_visits", raising=False)

    return install


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cookie", CookieVisitManager),
        ("cookieless", CookielessVisitManager),
        ("session", SessionVisitManager),
        ("sqlalchemy", SqlalchemyVisitManager),
    ],
)
def test_a_built_in_manager_is_found_by_its_name(name: str, kind: type) -> None:
    make = find_visit_manager(name)

    first, second = make(), make()

    assert type(first) is type(second) is kind
    assert first is not second, "each app has its own"


@pytest.mark.parametrize("target", ["Manager", "make", "instance", "Kinds.Inner"])
def test_a_manager_of_a_package_is_found_by_its_entry_point(
    package: Callable[[str], None], target: str
) -> None:
    package(f"acme = acme_visits:{target}")

    assert isinstance(find_visit_manager("acme")(), BaseVisitManager)


@pytest.mark.parametrize(
    "path",
    [
        "acme_visits.Manager",
        "acme_visits:Manager",
        "acme_visits:make",
        "acme_visits.instance",
        "acme_visits:Kinds.Inner",
    ],
)
def test_a_manager_is_found_by_its_path(package: Callable[[], None], path: str) -> None:
    package()

    assert isinstance(find_visit_manager(path)(), BaseVisitManager)


def test_a_path_is_not_imported_before_it_is_needed(package: Callable[[], None]) -> None:
    package()

    make = find_visit_manager("acme_visits.Manager")

    assert "acme_visits" not in sys.modules
    make()
    assert "acme_visits" in sys.modules


def test_a_class_a_function_and_an_instance_may_be_given_as_they_are() -> None:
    instance = CookieVisitManager()

    assert isinstance(find_visit_manager(CookieVisitManager)(), CookieVisitManager)
    assert isinstance(find_visit_manager(lambda: CookieVisitManager())(), CookieVisitManager)
    assert find_visit_manager(instance)() is find_visit_manager(instance)() is instance


def test_an_unknown_name_is_refused_with_the_names_that_there_are(package: Callable[[str], None]) -> None:
    package("zebra = acme_visits:Manager\nacme = acme_visits:Manager")

    with pytest.raises(SettingError) as caught:
        find_visit_manager("cooky")

    assert str(caught.value) == (
        "OTEL_USAGE_VISIT_MANAGER is 'cooky', expected one of: cookie, cookieless, session, sqlalchemy, acme, zebra; "
        "or a dotted path"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.Manager", "'nowhere.Manager' cannot be loaded: No module named 'nowhere'"),
        (
            "acme_visits:Nobody",
            "'acme_visits:Nobody' cannot be loaded: module 'acme_visits' has no attribute 'Nobody'",
        ),
        (".", "'.' cannot be loaded: Empty module name"),
        (
            "..",
            "'..' cannot be loaded: the 'package' argument is required to perform a relative import for '.'",
        ),
    ],
)
def test_a_path_to_nothing_is_told(package: Callable[[], None], path: str, message: str) -> None:
    package()

    with pytest.raises(SettingError) as caught:
        find_visit_manager(path)()

    assert str(caught.value) == message


@pytest.mark.parametrize("path", ["acme_visits.number", "acme_visits.Stranger", "acme_visits.make_nothing"])
def test_what_is_no_manager_is_refused(package: Callable[[], None], path: str) -> None:
    package()

    with pytest.raises(SettingError) as caught:
        find_visit_manager(path)()

    assert str(caught.value) == f"The visit manager {path!r} is no BaseVisitManager"


@pytest.mark.parametrize("given", [7, object(), dict, VisitManagerConformance])
def test_an_object_that_is_no_manager_is_refused(given: object) -> None:
    with pytest.raises(SettingError, match="is no BaseVisitManager$"):
        find_visit_manager(given)


def test_a_package_that_breaks_when_it_is_loaded_is_named(package: Callable[..., None]) -> None:
    package("acme = acme_visits:Manager", "raise OSError('hunter2')")

    with pytest.raises(SettingError) as caught:
        find_visit_manager("acme")

    assert str(caught.value) == (
        "The visit manager 'acme' is acme_visits:Manager, which cannot be loaded: OSError at acme_visits:1"
    )


def test_a_missing_extra_is_named_with_the_line_that_installs_it() -> None:
    code = (
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'sqlalchemy' else find(name, *rest)\n"
        "from otel_usage.visits.loading import find_visit_manager\n"
        "try:\n    find_visit_manager('sqlalchemy')\n"
        "except Exception as error:\n    print(error)"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output.strip() == (
        "The visit manager 'sqlalchemy' needs sqlalchemy. Install it with: pip install 'otel-usage[sqlalchemy]'"
    )


def test_the_default_manager_loads_neither_a_database_nor_a_framework() -> None:
    code = (
        "import sys\n"
        "from otel_usage.visits.loading import find_visit_manager\n"
        "find_visit_manager('cookie')()\n"
        "print([name for name in ('sqlalchemy', 'flask', 'werkzeug', 'django') if name in sys.modules])"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output.strip() == "[]"
