"""Where the extension and the adapter find each other; an app without `TrackUsage` loads no more of it than this."""

from __future__ import annotations

EXTENSION = "otel_usage_track_usage"
"""Under which an app's `AppUsage` stands in `app.extensions`."""
WAIT_KEY = "otel_usage.storage_wait"
"""Where the environment of a request keeps its `StorageWait` under TESTING."""


class ModeError(NotImplementedError):
    """The mode of an extension is neither `include` nor `exclude`."""

    def __init__(self, mode: object) -> None:
        super().__init__(
            f"TRACK_USAGE_INCLUDE_OR_EXCLUDE_VIEWS is {mode!r}, expected 'exclude' (track every view but the excluded "
            "ones) or 'include' (track only the included ones)"
        )
