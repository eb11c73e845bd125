"""Who the user of a request is, for those settings that ask for more than the framework knows anyway."""

from __future__ import annotations

import logging
from base64 import b64decode
from uuid import UUID

from otel_usage import attributes as names
from otel_usage.instrumentation.callables import load_request_function
from otel_usage.instrumentation.guard import report_error
from otel_usage.instrumentation.redaction import bounded
from otel_usage.log_throttle import LogThrottle

logger = logging.getLogger(__name__)

_LONGEST_CREDENTIALS = 8192
_REFUSED_STATUSES = (401, 403)


class UserReader:
    """Reads the user of a request in the way that the setting `USER` names."""

    def __init__(self, named: object) -> None:
        """Find the function, where the setting is neither `auto` nor `off`.

        Args:
            named: `auto`, `off`, a dotted path, or the function itself.
        """
        self.is_passive = isinstance(named, str) and named == "auto"
        """Whether the user is whom the framework has loaded anyway; then nobody is asked."""
        is_function = not (isinstance(named, str) and named in ("auto", "off"))
        self._ask = (
            load_request_function(named, "OTEL_USAGE_USER", "Going on without user ids")
            if is_function
            else None
        )
        self._misuse_log = LogThrottle()

    def user_id(self, request: object) -> str:
        """Return the id that the function gives for the framework's request; empty for nobody."""
        if self._ask is None:
            return ""
        try:
            user_id = self._ask(request)
            if isinstance(user_id, (str, int, UUID)) and user_id is not True:
                return "" if user_id is False else bounded(str(user_id), names.MAX_NAME)
        except Exception as error:  # of the app
            report_error(error)
            return ""
        if user_id is not None:
            # Not its text: that of a user object may take a query to make, and say more than its id.
            self._misuse_log.log(
                logger,
                logging.ERROR,
                "The function of OTEL_USAGE_USER returned a %s, expected a text, a number, a UUID or None",
                type(user_id).__name__,
            )
        return ""


def basic_auth_user(header: str) -> str:
    """Return the user name of an `Authorization: Basic` header (RFC 7617), empty for any other one."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic" or len(credentials) > _LONGEST_CREDENTIALS:
        return ""
    try:
        pair = b64decode(credentials.strip(), validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""
    name, colon, _password = pair.partition(":")
    return bounded(name, names.MAX_NAME) if colon else ""


def is_accepted(status_code: int, endpoint: str) -> bool:
    """Return whether a view answered and did not refuse: what nobody looked at proves nothing."""
    return bool(endpoint) and status_code not in _REFUSED_STATUSES
