"""Looks at what only its use would find wrong in the settings: names, the exporter, the funnel file, the visit manager."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from otel_usage.errors import SettingError
from otel_usage.pipeline.exporters import exporter_names, unknown_exporter
from otel_usage.reports.funnels import load_funnels
from otel_usage.settings import PREFIX, Settings, describe
from otel_usage.visits.loading import find_visit_manager


def unknown_settings(environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield a line for each variable that looks like a setting of ours and is none."""
    environ = os.environ if environ is None else environ
    known = {setting.name.removeprefix(PREFIX): setting.name for setting in describe(Settings())}
    for name in sorted(environ):
        if name.startswith(PREFIX) and environ[name] and name not in known.values():
            close = get_close_matches(name.removeprefix(PREFIX), known, n=1)
            cure = f"did you mean {known[close[0]]}?" if close else "`otel-usage settings` names all that are"
            yield f"{name} is no setting; {cure}"


def unusable_settings(settings: Settings) -> Iterator[SettingError]:
    """Yield what an app would log when it starts, and go on without."""
    if settings.exporter_name not in exporter_names():
        yield unknown_exporter(settings.exporter_name)
    if settings.funnels:
        try:
            load_funnels(settings.funnels)
        except SettingError as error:
            yield error
    try:
        # A dotted path is not followed: importing modules of the app is the app's to do.
        find_visit_manager(settings.visit_manager)
    except SettingError as error:
        yield error
    if settings.visit_manager == "sqlalchemy" and not settings.visit_database:
        yield SettingError("OTEL_USAGE_VISIT_MANAGER is 'sqlalchemy', which needs OTEL_USAGE_VISIT_DATABASE")
    if isinstance(settings.consent, str) and not re.fullmatch(r"[\w.]+[.:]\w[\w.]*", settings.consent):
        yield SettingError(
            f"OTEL_USAGE_CONSENT is {settings.consent[:100]!r}, expected a dotted path such as shop.privacy.agreed"
        )
