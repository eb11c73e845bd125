"""Flask-Track-Usage's summaries, by the names under which a storage takes them as hooks.

They do nothing for a request: ClickHouse keeps every one of them, in views, for each event that is stored.
What they are for is to be named: `hooks=[sumUrl]`, and `storage.get_sum(sumUrl)`.
"""

from __future__ import annotations

from typing import Any


class Summary:
    """What all of them are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what a storage gives its hooks, and keep none of it."""

    def set_up(self, **kwargs: Any) -> None:
        """Check, when the storage is made, that there are sums to ask for.

        Raises:
            NotImplementedError: not a hook of a storage.
            ImportError: the storage cannot answer `get_sum`.
        """
        name = type(self).__name__
        if "_parent_self" not in kwargs:
            raise NotImplementedError(
                f"{name} can only be used as a Storage class hook. Give it to one: ClickHouseStorage(hooks=[{name}])"
            )
        if not getattr(kwargs["_parent_self"], "keeps_sums", False):
            raise ImportError(
                f"the {kwargs['_parent_class_name']} class does not currently support summarization. "
                f"Give the hook to a ClickHouseStorage: ClickHouseStorage(hooks=[{name}])"
            )

    def __call__(self, **data: Any) -> None:
        """Do nothing: the views count the event when it is stored."""


class sumUrl(Summary):
    """By the full URL."""


class sumRemote(Summary):
    """By the client's address."""


class sumUserAgent(Summary):
    """By the User-Agent header."""


class sumBrowser(Summary):
    """By the browser's name."""


class sumLanguage(Summary):
    """By the first language that the client asks for."""


class sumServer(Summary):
    """By service: the whole traffic."""


class sumVisitor(Summary):
    """By service, with the number of visitors."""


class sumGeo(Summary):
    """By country."""


class sumStatus(Summary):
    """By status code."""


class sumBasic(Summary):
    """By service, with the numbers of visitors, visits and errors."""
