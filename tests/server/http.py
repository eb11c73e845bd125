"""Asks a running server over HTTP, with nothing between the test and the bytes."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from tests.serving import ServeProcess


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def send(
    url: str,
    path: str = "/",
    *,
    method: str = "POST",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=180)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
    finally:
        connection.close()


def ask(
    serve: ServeProcess,
    sql: str | bytes,
    parameters: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    check: bool = True,
) -> Answer:
    """Run a statement, in the body of a POST."""
    path = "/?" + urlencode(parameters or {})
    body = sql.encode() if isinstance(sql, str) else sql
    answer = send(
        serve.http_url, path, method=method, body=body if method == "POST" else None, headers=headers
    )
    assert answer.status == 200 or not check, answer.text
    return answer
