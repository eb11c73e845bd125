"""What the command line says of settings is what an app would log."""

from __future__ import annotations

import pytest

from otel_usage import wiring
from otel_usage.environment import EXPORTER_GROUP, unusable_settings
from otel_usage.errors import SettingError
from otel_usage.settings import Settings


def test_an_unknown_exporter_is_refused_in_the_words_of_the_app() -> None:
    settings = Settings.load({"OTEL_USAGE_EXPORTER": "clickhaus"})

    (error,) = unusable_settings(settings)

    with pytest.raises(SettingError) as raised:
        wiring._build_exporter(settings)
    assert str(error) == str(raised.value)
    assert wiring.EXPORTER_GROUP == EXPORTER_GROUP
