"""Notes visit cookies that another key signed, and says so when one client keeps sending them."""

from __future__ import annotations

import logging
from collections import OrderedDict

from otel_usage.log_throttle import LogThrottle

logger = logging.getLogger(__name__)

_MAX_CLIENTS = 256
_WARNING_AT = 3


class ForeignCookieLog:
    """Counts foreign cookies by the visitor that they name: behind a proxy all clients have one address."""

    def __init__(self) -> None:
        self._count_by_visitor: OrderedDict[bytes, int] = OrderedDict()
        self._log = LogThrottle()

    def note(self, visitor: bytes) -> None:
        """Count one more of a visitor, and warn at the third."""
        count = self._count_by_visitor.pop(visitor, 0) + 1
        self._count_by_visitor[visitor] = count
        if len(self._count_by_visitor) > _MAX_CLIENTS:
            self._count_by_visitor.popitem(last=False)
        if count == _WARNING_AT:
            self._log.log(
                logger,
                logging.WARNING,
                "A client has sent %d visit cookies in a row that another key signed. If several hosts or services "
                "answer for this domain, give them one OTEL_USAGE_SECRET, or each its own OTEL_USAGE_COOKIE_NAME.",
                count,
            )
