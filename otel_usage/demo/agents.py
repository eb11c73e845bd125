"""User agents of the demo's visitors, each with what a correct parser says of it.

The labels are ua-parser's family names, written down here so that the truth does not come from the code that
it checks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agent:
    """A User-Agent header and its reading."""

    text: str
    browser: str
    os: str
    device_type: str
    """`desktop`, `mobile`, `tablet`, `tv` or `bot`."""

    @property
    def is_bot(self) -> bool:
        return self.device_type == "bot"


_BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
_LINUX = "Mozilla/5.0 (X11; Linux x86_64"

BROWSERS: tuple[tuple[Agent, int], ...] = (
    (Agent(f"{_WINDOWS}) {_BLINK} Chrome/142.0.0.0 Safari/537.36", "Chrome", "Windows", "desktop"), 24),
    (Agent(f"{_MAC} {_BLINK} Chrome/141.0.0.0 Safari/537.36", "Chrome", "Mac OS X", "desktop"), 7),
    (Agent(f"{_LINUX}) {_BLINK} Chrome/142.0.0.0 Safari/537.36", "Chrome", "Linux", "desktop"), 3),
    (
        Agent(
            f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_BLINK} Chrome/140.0.0.0 Safari/537.36",
            "Chrome",
            "Chrome OS",
            "desktop",
        ),
        2,
    ),
    (
        Agent(
            f"Mozilla/5.0 (Linux; Android 10; K) {_BLINK} Chrome/142.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile",
            "Android",
            "mobile",
        ),
        20,
    ),
    (
        Agent(
            f"Mozilla/5.0 (Linux; Android 13; SM-X710) {_BLINK} Chrome/139.0.0.0 Safari/537.36",
            "Chrome",
            "Android",
            "tablet",
        ),
        2,
    ),
    (
        Agent(
            f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {_BLINK} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet",
            "Android",
            "mobile",
        ),
        4,
    ),
    (Agent(f"{_WINDOWS}; rv:144.0) Gecko/20100101 Firefox/144.0", "Firefox", "Windows", "desktop"), 5),
    (Agent(f"{_LINUX}; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox", "Linux", "desktop"), 2),
    (
        Agent(
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
            "Firefox",
            "Ubuntu",
            "desktop",
        ),
        2,
    ),
    (
        Agent(
            "Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0",
            "Firefox Mobile",
            "Android",
            "mobile",
        ),
        2,
    ),
    (Agent(f"{_MAC} {_WEBKIT} Version/18.5 Safari/605.1.15", "Safari", "Mac OS X", "desktop"), 8),
    (
        Agent(
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {_WEBKIT} Version/18.5 Mobile/15E148 Safari/604.1",
            "Mobile Safari",
            "iOS",
            "mobile",
        ),
        16,
    ),
    (
        Agent(
            f"Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) {_WEBKIT} Version/17.6 Mobile/15E148 Safari/604.1",
            "Mobile Safari",
            "iOS",
            "tablet",
        ),
        3,
    ),
    (
        Agent(
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) {_WEBKIT} CriOS/141.0.7390.41 Mobile/15E148 Safari/604.1",
            "Chrome Mobile iOS",
            "iOS",
            "mobile",
        ),
        2,
    ),
    (
        Agent(
            f"{_WINDOWS}) {_BLINK} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0", "Edge", "Windows", "desktop"
        ),
        9,
    ),
    (
        Agent(
            f"{_WINDOWS}) {_BLINK} Chrome/139.0.0.0 Safari/537.36 OPR/123.0.0.0",
            "Opera",
            "Windows",
            "desktop",
        ),
        2,
    ),
    (
        Agent(
            f"Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) {_BLINK} SamsungBrowser/5.0 Chrome/94.0.4606.31 TV Safari/537.36",
            "Samsung Internet",
            "Tizen",
            "tv",
        ),
        1,
    ),
)
"""What people use, with how many of a hundred or so do."""

CRAWLERS = (
    Agent(
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Googlebot",
        "unknown",
        "bot",
    ),
    Agent(
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot", "unknown", "bot"
    ),
    Agent(
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "AhrefsBot", "unknown", "bot"
    ),
    Agent(
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "GPTBot",
        "unknown",
        "bot",
    ),
    Agent("DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)", "DuckDuckBot", "unknown", "bot"),
)
"""Robots that read the whole shop."""

MONITORS = (
    Agent(
        "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "UptimeRobot",
        "unknown",
        "bot",
    ),
    Agent("curl/8.11.1", "curl", "unknown", "bot"),
)
"""Robots that ask whether the shop is open."""
