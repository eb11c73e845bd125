"""Browsers and systems by the names that old Werkzeug versions gave them, under the names that live events have."""

from __future__ import annotations

from otel_usage import attributes as names
from otel_usage.enrich.user_agent import BOT, UNKNOWN
from otel_usage.importers.old_rows import to_text
from otel_usage.model import AttributeValue

_BROWSERS = {
    "aol": "AOL",
    "camino": "Camino",
    "chrome": "Chrome",
    "edge": "Edge",
    "firefox": "Firefox",
    "galeon": "Galeon",
    "kmeleon": "K-Meleon",
    "konqueror": "Konqueror",
    "links": "Links",
    "lynx": "Lynx",
    "msie": "IE",
    "netscape": "Netscape",
    "opera": "Opera",
    "safari": "Safari",
    "seamonkey": "SeaMonkey",
}
_MOBILE_BROWSERS = {
    ("android", "chrome"): "Chrome Mobile",
    ("android", "firefox"): "Firefox Mobile",
    ("android", "safari"): "Android",
    ("ipad", "chrome"): "Chrome Mobile iOS",
    ("ipad", "safari"): "Mobile Safari",
    ("iphone", "chrome"): "Chrome Mobile iOS",
    ("iphone", "safari"): "Mobile Safari",
}
"""By platform and browser: what live events tell apart from the browser of a desktop."""
_ROBOTS = {
    "ask": "Ask Jeeves",
    "baidu": "Baiduspider",
    "bing": "bingbot",
    "google": "Googlebot",
    "msn": "msnbot",
    "yahoo": "Yahoo! Slurp",
}
_SYSTEMS = {
    "android": "Android",
    "blackberry": "BlackBerry OS",
    "chromeos": "Chrome OS",
    "freebsd": "FreeBSD",
    "ipad": "iOS",
    "iphone": "iOS",
    "linux": "Linux",
    "macos": "Mac OS X",
    "netbsd": "NetBSD",
    "openbsd": "OpenBSD",
    "solaris": "Solaris",
    "windows": "Windows",
}
_DEVICES = {
    "blackberry": "mobile",
    "chromeos": "desktop",
    "freebsd": "desktop",
    "ipad": "tablet",
    "iphone": "mobile",
    "linux": "desktop",
    "macos": "desktop",
    "openbsd": "desktop",
    "solaris": "desktop",
    "windows": "desktop",
}
"""By platform; Android is on telephones and on tablets."""


def agent_attributes(browser: object, platform: object, version: object) -> dict[str, AttributeValue]:
    """Return what three columns say of a user agent; a name that live events have no other one for stays."""
    browser_name, platform_name = to_text(browser), to_text(platform)
    robot = _ROBOTS.get(browser_name, "")
    found: dict[str, AttributeValue] = {
        names.BROWSER: robot
        or _MOBILE_BROWSERS.get((platform_name, browser_name))
        or _BROWSERS.get(browser_name, browser_name)
        or UNKNOWN,
        names.OS: _SYSTEMS.get(platform_name, platform_name) or UNKNOWN,
        names.DEVICE_TYPE: BOT if robot else _DEVICES.get(platform_name, UNKNOWN),
    }
    if version is not None:
        found[names.BROWSER_VERSION] = to_text(version)
    if robot:
        found[names.SYNTHETIC_TYPE] = BOT
        found[names.BOT_NAME] = robot
    return found
