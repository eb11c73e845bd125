"""User agents of real software, and what is to be read from each."""

from __future__ import annotations

from typing import NamedTuple


class Agent(NamedTuple):
    text: str
    browser: str
    os: str
    device: str
    version: str = ""


AGENTS = {
    "Chrome on Windows": Agent(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Chrome",
        "Windows",
        "desktop",
        "126.0",
    ),
    "Firefox on Linux": Agent(
        "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Firefox",
        "Linux",
        "desktop",
        "127.0",
    ),
    "Firefox on Ubuntu": Agent(
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Firefox",
        "Ubuntu",
        "desktop",
        "127.0",
    ),
    "Safari on a Mac": Agent(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
        "Safari",
        "Mac OS X",
        "desktop",
        "17.5",
    ),
    "Edge": Agent(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
        "Edge",
        "Windows",
        "desktop",
        "126.0",
    ),
    "Safari on an iPhone": Agent(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mobile Safari",
        "iOS",
        "mobile",
        "17.5",
    ),
    "Safari on an iPad": Agent(
        "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
        "Mobile Safari",
        "iOS",
        "tablet",
        "16.6",
    ),
    "Chrome on an Android phone": Agent(
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
        "Chrome Mobile",
        "Android",
        "mobile",
        "126.0",
    ),
    "Chrome on an Android tablet": Agent(
        "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Chrome",
        "Android",
        "tablet",
        "126.0",
    ),
    "a television": Agent(
        "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/538.1 (KHTML, like Gecko) Version/6.0 TV Safari/538.1",
        "Safari",
        "Tizen",
        "tv",
        "6.0",
    ),
    "curl": Agent("curl/8.7.1", "curl", "unknown", "bot", "8.7"),
    "nothing": Agent("", "unknown", "unknown", "unknown"),
    "nonsense": Agent("\0 é 😀 \ufffd", "unknown", "unknown", "unknown"),
}
