"""The table of requests: what is asked, and what is then known of it, in every framework."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One request and its answer.

    `route` is without the slash in front, which Flask writes and Django does not; None where no route answered.
    """

    path: str
    status: int
    route: str | None
    method: str = "GET"
    flask_route: str | None = ""
    """Where Flask says something else; empty where it says the same."""
    frameworks: str = "Flask Django"
    gets_cookie: bool = True

    @property
    def id(self) -> str:
        return f"{self.method} {self.path} {self.status}"

    def route_in(self, is_django: bool) -> str | None:
        return self.route if is_django or self.flask_route == "" else self.flask_route

    def is_for(self, is_django: bool) -> bool:
        return ("Django" if is_django else "Flask") in self.frameworks


ITEM = "item/<int:number>/"

ANSWERS = (
    Case("/", 200, ""),
    Case("/item/7/", 200, ITEM),
    Case("/item/7/", 200, ITEM, "HEAD"),
    Case("/item/7/?page=2&q=%C3%A9", 200, ITEM),
    # Flask knows the methods of a route, Django's views refuse by themselves.
    Case("/item/7/", 405, ITEM, "POST", flask_route=None),
    Case("/item/7/", 405, ITEM, "PROPFIND", flask_route=None),
    Case("/async-item/7/", 200, "async-item/<int:number>/"),
    Case("/card/", 200, "card/"),
    Case("/card/", 200, "card/", "OPTIONS"),
    Case("/card/", 405, "card/", "DELETE", flask_route=None),
    Case("/old/7/", 200, "^old/(?P<number>[0-9]+)/$", frameworks="Django"),
    Case("/nowhere/", 404, None),
    Case("/nowhere/", 404, None, "POST"),
    Case("/item/7", 301, None, frameworks="Django"),
    Case("/item/7", 308, None, flask_route=None, frameworks="Flask"),
    Case("/redirect/", 302, "redirect/"),
    Case("/empty/", 204, "empty/"),
    Case("/not-modified/", 304, "not-modified/", gets_cookie=False),
    Case("/private/", 401, "private/"),
    Case("/forbidden/", 403, "forbidden/"),
    Case("/broken/", 500, "broken/"),
    Case("/file/", 200, "file/"),
    Case("/file/", 200, "file/", "HEAD"),
    Case("/stream/", 200, "stream/"),
    Case("/stream/", 200, "stream/", "HEAD"),
    Case("/async-stream/", 200, "async-stream/", frameworks="Django"),
    Case("/known-stream/", 200, "known-stream/"),
    Case("/cached/", 200, "cached/", gets_cookie=False),
    Case("/theme/", 200, "theme/"),
)
