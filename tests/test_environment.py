"""What the command line says of settings is what an app would log."""

from __future__ import annotations

import pytest

from otel_usage import wiring
from otel_usage.environment import unusable_settings
from otel_usage.errors import SettingError
from otel_usage.pipeline.exporters import EXPORTER_GROUP
from otel_usage.settings import Settings


def test_an_unknown_exporter_is_refused_in_the_words_of_the_app() -> None:
    settings = Settings.load({"OTEL_USAGE_EXPORTER": "clickhaus"})

    (error,) = unusable_settings(settings)

    with pytest.raises(SettingError) as raised:
        wiring._build_exporter(settings)
    assert str(error) == str(raised.value)
    assert vars(wiring)["EXPORTER_GROUP"] == EXPORTER_GROUP


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"visit_manager": "nosuch"},
            "OTEL_USAGE_VISIT_MANAGER is 'nosuch', expected one of: cookie, cookieless",
        ),
        ({"visit_manager": "sqlalchemy"}, "OTEL_USAGE_VISIT_MANAGER is 'sqlalchemy', which needs"),
        ({"consent": "no way"}, "OTEL_USAGE_CONSENT is 'no way', expected a dotted path"),
        ({"consent": "shop"}, "OTEL_USAGE_CONSENT is 'shop', expected a dotted path"),
    ],
)
def test_what_decides_who_is_followed_is_looked_at_before_the_app_starts(
    arguments: dict[str, str], message: str
) -> None:
    (error,) = unusable_settings(Settings.load({}, **arguments))

    assert str(error).startswith(message)


@pytest.mark.parametrize(
    "arguments", [{"visit_manager": "shop.visits.Manager"}, {"consent": "shop.privacy:agreed"}, {}]
)
def test_modules_of_the_app_are_not_imported_to_look_at_them(arguments: dict[str, str]) -> None:
    assert list(unusable_settings(Settings.load({}, **arguments))) == []
