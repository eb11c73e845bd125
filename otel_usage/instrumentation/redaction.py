"""Texts of a request made fit to keep: bounded, valid, and without the secrets that URLs carry."""

from __future__ import annotations

import re

from otel_usage.attributes import MAX_TEXT

REDACTED = "REDACTED"

# The first four are those of the HTTP semantic conventions; the others are what frameworks put into links.
_NAMES_OF_SECRETS = (
    r"awsaccesskeyid|signature|sig|x-goog-signature|x-amz-signature|x-amz-security-token|x-amz-credential"
    r"|token|access_token|refresh_token|id_token|auth_token|csrf_token|csrfmiddlewaretoken|jwt"
    r"|password|passwd|pwd|secret|client_secret|api_key|apikey|access_key|auth|authorization"
    r"|session|sessionid|session_id"
)


def secret_parameters(*more_names: str) -> re.Pattern[str]:
    """Return what finds parameters whose values are secret, those of these names too."""
    names = "|".join([_NAMES_OF_SECRETS, *map(re.escape, more_names)])
    return re.compile(rf"(?i)(^|[?&;#])({names})=[^&;#]*")


_SECRET_PARAMETERS = secret_parameters()
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/?#]*@")
_LONGEST_SEARCHED = 4 * MAX_TEXT


def bounded(text: str, limit: int) -> str:
    """Return at most `limit` characters, all of which UTF-8 can encode."""
    if len(text) > limit:
        text = text[:limit]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def redact_query(query: str, secret: re.Pattern[str] = _SECRET_PARAMETERS) -> str:
    """Return a query, or the query of a URL, with the values of secret parameters replaced."""
    # The values go before the cut: a name that the cut took off would leave its value in.
    return secret.sub(rf"\1\2={REDACTED}", query[:_LONGEST_SEARCHED]) if "=" in query else query


def redact_url(url: str, secret: re.Pattern[str] = _SECRET_PARAMETERS) -> str:
    """Return a URL without user and password, and with the values of secret parameters replaced."""
    url = url[:_LONGEST_SEARCHED]
    return redact_query(_USER_AND_PASSWORD.sub("", url) if "@" in url else url, secret)
