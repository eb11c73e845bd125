"""The client's software under the names that Flask-Track-Usage's storages know it by."""

from __future__ import annotations

from dataclasses import dataclass

from otel_usage import attributes as names
from otel_usage.model import Attributes
from otel_usage.reports.old_agent import old_browser, old_platform


@dataclass(frozen=True, slots=True)
class UserAgent:
    """What `data["user_agent"]` is. Its text is the header; what nobody knows is None."""

    string: str
    browser: str | None
    """In lower case, such as `firefox`, `chrome`, `safari` or `msie`; mobile editions go by the same name."""
    platform: str | None
    """In lower case, such as `windows`, `macos`, `linux`, `android`, `iphone` or `ipad`."""
    version: str | None
    """Of the browser, such as `128.0`."""
    language: str | None
    """The first of Accept-Language, such as `de-CH`."""

    def __deepcopy__(self, memo: object) -> UserAgent:
        return self  # nobody can change it, and each storage copies its data

    def __str__(self) -> str:
        return self.string


def user_agent_of(attributes: Attributes) -> UserAgent:
    """Return the client's software of an enriched request event."""
    string = str(attributes.get(names.USER_AGENT, ""))
    return UserAgent(
        string,
        old_browser(str(attributes.get(names.BROWSER, ""))),
        old_platform(str(attributes.get(names.OS, "")), string),
        _text_or_none(attributes.get(names.BROWSER_VERSION)),
        _text_or_none(attributes.get(names.LANGUAGE)),
    )


def _text_or_none(value: object) -> str | None:
    return str(value) if value else None
