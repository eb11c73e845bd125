"""Browsers and systems under the names that Flask-Track-Usage told of them."""

from __future__ import annotations

_UNKNOWN = frozenset({"", "unknown"})
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


def old_browser(name: str) -> str | None:
    """Return the browser in lower case, such as `firefox`, `chrome` or `msie`; None when nobody knows it.

    Mobile editions go by the name of the others.
    """
    return _old_name(name, _BROWSERS)


def old_platform(os_name: str, user_agent: str) -> str | None:
    """Return the system in lower case, such as `windows`, `macos`, `android`, `iphone` or `ipad`.

    None when nobody knows it.

    Args:
        os_name: what the parser made of the user agent.
        user_agent: the header, which tells one kind of Apple's devices from the other.
    """
    platform = _old_name(os_name, _PLATFORMS)
    if platform == _APPLE_MOBILE:
        return "ipad" if "iPad" in user_agent else "iphone"
    return platform


def _old_name(name: str, old_names: dict[str, str]) -> str | None:
    known = name.lower()
    return None if known in _UNKNOWN else old_names.get(known, known)
