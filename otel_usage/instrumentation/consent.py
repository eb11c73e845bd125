"""Asks the app whether a visitor agreed to be followed."""

from __future__ import annotations

import logging
from enum import Enum

from otel_usage.instrumentation.callables import load_request_function
from otel_usage.instrumentation.guard import report_error
from otel_usage.log_throttle import LogThrottle

logger = logging.getLogger(__name__)


class Consent(Enum):
    """What a visitor said to being followed."""

    GIVEN = "given"
    REFUSED = "refused"
    """Also what an earlier visit has left with the visitor is taken back."""
    UNKNOWN = "unknown"
    """Not asked yet, or nobody can tell: not followed, and nothing is taken back."""


_CONSENT_BY_ANSWER = {True: Consent.GIVEN, False: Consent.REFUSED, None: Consent.UNKNOWN}


class ConsentDesk:
    """Asks the function of the setting `CONSENT`. Where it cannot answer, nobody is followed."""

    def __init__(self, named: object) -> None:
        """Find the function.

        Args:
            named: a dotted path or the function itself; None when there is no such setting, then all have agreed.
        """
        self.is_needed = named is not None
        self._ask = (
            load_request_function(named, "OTEL_USAGE_CONSENT", "Going on without following anybody")
            if self.is_needed
            else None
        )
        self._misuse_log = LogThrottle()

    def consent_of(self, request: object) -> Consent:
        """Return what the function says of the visitor of the framework's request."""
        if self._ask is None:
            return Consent.UNKNOWN
        try:
            answer = self._ask(request)
        except Exception as error:  # of the app
            report_error(error)
            return Consent.UNKNOWN
        # Not by truth: the text "denied" is true as well.
        if answer is None or answer.__class__ is bool:
            return _CONSENT_BY_ANSWER[answer]
        self._misuse_log.log(
            logger,
            logging.ERROR,
            "The function of OTEL_USAGE_CONSENT returned a %s, expected True, False or None. Not following the visitor.",
            type(answer).__name__,
        )
        return Consent.UNKNOWN
