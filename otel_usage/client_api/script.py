"""The script for web pages, as both frameworks serve it."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from otel_usage.client_api.answer import ClientAnswer

SCRIPT_NAME = "client.js"
FILTERED_SCRIPT = "client_script"
"""Why a request for the script is not recorded."""

_MAX_AGE_SECONDS = 3600


# Read here, so that no request does.
SCRIPT = files(__package__).joinpath(SCRIPT_NAME).read_bytes()
"""The source, which is served as it is."""
_ETAG = f'"{hashlib.sha256(SCRIPT).hexdigest()[:16]}"'


def answer_script(if_none_match: str) -> ClientAnswer:
    """Return the script, or 304 to who has it already; caches may keep it, so no cookie goes with it."""
    caching = (("Cache-Control", f"public, max-age={_MAX_AGE_SECONDS}"), ("ETag", _ETAG))
    # A proxy that compresses makes the tag a weak one.
    if _ETAG in {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}:
        return ClientAnswer(304, headers=caching)
    return ClientAnswer(
        200,
        SCRIPT,
        (
            ("Content-Type", "text/javascript; charset=utf-8"),
            ("X-Content-Type-Options", "nosniff"),
            *caching,
        ),
    )
