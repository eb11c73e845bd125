"""Browser, operating system, device and robot, from the User-Agent header.

ua-parser's compiled matcher names the software (about 12 µs), the patterns of crawler-user-agents decide
what is a robot (about 90 µs). Both are paid once for each distinct agent: the answer is kept by string.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType

from otel_usage import attributes as names
from otel_usage.model import Attributes, Event

UNKNOWN = "unknown"
BOT = "bot"

NO_AGENT = "no user agent"
"""Name of the robots that send none: every browser sends one. An event outside of a request has no such attribute."""
_AGENTLESS: Attributes = MappingProxyType(
    {
        names.BROWSER: UNKNOWN,
        names.OS: UNKNOWN,
        names.SYNTHETIC_TYPE: BOT,
        names.BOT_NAME: NO_AGENT,
        names.DEVICE_TYPE: BOT,
    }
)

_CACHED_AGENTS = 8192
_PATTERNS_PER_EXPRESSION = 50
_DESKTOPS = frozenset(
    {
        "Windows",
        "Mac OS X",
        "Linux",
        "Ubuntu",
        "Fedora",
        "Debian",
        "Chrome OS",
        "FreeBSD",
        "OpenBSD",
        "Solaris",
    }
)
_TV = re.compile(
    r"smart-?tv|apple ?tv|android tv|googletv|google tv|crkey|bravia|hbbtv|\baft[a-z]|roku|netcast|web0s",
    re.I,
)
_TABLET = re.compile(r"ipad|tablet|kindle|silk/|playbook", re.I)
_MOBILE = re.compile(r"mobi|iphone|ipod|windows phone|blackberry|opera mini", re.I)


def read_user_agent(event: Event) -> Attributes:
    """Return what the agent string says; the dictionary is shared and must not be changed."""
    agent = event.attributes.get(names.USER_AGENT)
    if agent == "":
        return _AGENTLESS
    # Cut, because the cache keeps the string, and a foreign OTLP client may send megabytes.
    text = agent[: names.MAX_TEXT] if isinstance(agent, str) else ""
    # The compiled matcher raises on a lone surrogate.
    return describe_user_agent(text if text.isascii() else text.encode("utf-8", "replace").decode())


@lru_cache(maxsize=_CACHED_AGENTS)
def describe_user_agent(agent: str) -> Attributes:
    """Return the attributes of one agent string, bounded to `MAX_TEXT` characters by the caller.

    `user_agent.name` and `.os.name` are `unknown` when the parser does not know them; versions are absent then.
    """
    import ua_parser  # the compiled matcher takes 0.1 s to build, which no process pays that sends nothing

    result = ua_parser.parse(agent)
    browser, system = result.user_agent, result.os
    found: dict[str, str] = {
        names.BROWSER: browser.family if browser else UNKNOWN,
        names.OS: system.family if system else UNKNOWN,
    }
    if browser and browser.major:
        found[names.BROWSER_VERSION] = _version(browser.major, browser.minor)
    if system and system.major:
        found[names.OS_VERSION] = _version(system.major, system.minor)
    bot_name = find_bot_name(agent) or (browser.family if browser and _is_spider(result.device) else "")
    if bot_name:
        found[names.SYNTHETIC_TYPE] = BOT
        found[names.BOT_NAME] = bot_name
    found[names.DEVICE_TYPE] = BOT if bot_name else _device_type(agent, found[names.OS])
    return found


def find_bot_name(agent: str) -> str:
    """Return the name by which a known robot calls itself, empty for anything else."""
    for expression in _bot_expressions():
        match = expression.search(agent)
        if match:
            return match.group(0).strip(" /-;:()+^")[:64] or UNKNOWN
    return ""


@lru_cache(maxsize=1)
def _bot_expressions() -> tuple[re.Pattern[str], ...]:
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    # One expression of 1,500 alternatives is slower than thirty of fifty.
    patterns = [entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA]
    return tuple(
        re.compile("|".join(patterns[start : start + _PATTERNS_PER_EXPRESSION]))
        for start in range(0, len(patterns), _PATTERNS_PER_EXPRESSION)
    )


def _is_spider(device: object) -> bool:
    return getattr(device, "family", None) == "Spider"


def _version(major: str, minor: str | None) -> str:
    return f"{major}.{minor}" if minor else major


def _device_type(agent: str, system: str) -> str:
    if _TV.search(agent):
        return "tv"
    if _TABLET.search(agent) or (system == "Android" and "Mobile" not in agent):
        return "tablet"
    if _MOBILE.search(agent) or system in ("Android", "iOS"):
        return "mobile"
    return "desktop" if system in _DESKTOPS else UNKNOWN
