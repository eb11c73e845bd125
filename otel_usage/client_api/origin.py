"""Whether a call comes from a page of the site itself. This stands in the place of a CSRF token.

Browsers name the calling site in headers that no page can forge: `Origin` on every POST, `Sec-Fetch-Site` where the
connection is trustworthy, `Referer` where the page's policy allows it. A call that has none of the three comes from
no browser, so that there is no user whose cookies could be abused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_ORIGIN = 8192


class CallingSite(NamedTuple):
    """What the headers of a call say of the page that makes it; empty for what they do not say."""

    origin: str = ""
    sec_fetch_site: str = ""
    referrer: str = ""


class OwnSite(NamedTuple):
    """Where the call arrived."""

    host: str
    """As the client addressed it, with a port unless that is the usual one or a proxy took it off."""
    is_https: bool = False


class OriginCheck:
    """Decides by the headers, and by the further origins that the settings allow."""

    def __init__(self, allowed_origins: Iterable[str] = ()) -> None:
        """Take the origins in.

        Args:
            allowed_origins: such as `https://app.example.org`, beside the site's own.
        """
        self._allowed = frozenset(origin.lower().rstrip("/") for origin in allowed_origins)

    def allows(self, calling: CallingSite, own: OwnSite) -> bool:
        """Return whether the call may come from where it comes."""
        if calling.origin and calling.origin != "null":
            if calling.origin.lower() in self._allowed:
                return True
            return calling.sec_fetch_site != "cross-site" and _is_page_of(calling.origin, own)
        if calling.sec_fetch_site:
            return calling.sec_fetch_site in ("same-origin", "none")
        if calling.referrer:
            return _is_page_of(calling.referrer, own)
        # A browser that writes `null` has reasons not to name the site, such as a sandbox.
        return not calling.origin


def _is_page_of(url: str, own: OwnSite) -> bool:
    try:
        page = urlsplit(url[:_LONGEST_ORIGIN])
        page_port = page.port or _DEFAULT_PORTS.get(page.scheme)
        own_host = urlsplit(f"//{own.host}")
        own_port = own_host.port
    except ValueError:
        return False
    if page.scheme not in _DEFAULT_PORTS or not page.hostname or page.hostname != own_host.hostname:
        return False
    if own.is_https and page.scheme != "https":
        return False  # whoever is on the wire could have written that page
    if own_port is None:
        # The usual one, or that of the proxy in front; pages on other ports of a host share its cookies anyway.
        return True
    return page_port == own_port
