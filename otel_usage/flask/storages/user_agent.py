"""The client's software under the names that Flask-Track-Usage's storages know it by."""

from __future__ import annotations

from dataclasses import dataclass

from otel_usage import attributes as names
from otel_usage.enrich.user_agent import UNKNOWN
from otel_usage.model import Attributes

_BROWSERS = {
    "chrome mobile": "chrome",
    "chrome mobile ios": "chrome",
    "chrome mobile webview": "chrome",
    "edge mobile": "edge",
    "firefox mobile": "firefox",
    "firefox ios": "firefox",
    "ie": "msie",
    "ie mobile": "msie",
    "mobile safari": "safari",
    "mobile safari ui/wkwebview": "safari",
    "opera mobile": "opera",
}
_PLATFORMS = {
    "mac os x": "macos",
    "chrome os": "chromeos",
    "ubuntu": "linux",
    "fedora": "linux",
    "debian": "linux",
}
_APPLE_MOBILE = "ios"


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

    def __str__(self) -> str:
        return self.string


def user_agent_of(attributes: Attributes) -> UserAgent:
    """Return the client's software of an enriched request event."""
    string = str(attributes.get(names.USER_AGENT, ""))
    return UserAgent(
        string,
        _old_name(attributes.get(names.BROWSER), _BROWSERS),
        _platform(string, _old_name(attributes.get(names.OS), _PLATFORMS)),
        _text_or_none(attributes.get(names.BROWSER_VERSION)),
        _text_or_none(attributes.get(names.LANGUAGE)),
    )


def _old_name(name: object, old_names: dict[str, str]) -> str | None:
    known = str(name or UNKNOWN).lower()
    return None if known == UNKNOWN else old_names.get(known, known)


def _platform(string: str, platform: str | None) -> str | None:
    if platform == _APPLE_MOBILE:
        return "ipad" if "iPad" in string else "iphone"
    return platform


def _text_or_none(value: object) -> str | None:
    return str(value) if value else None
