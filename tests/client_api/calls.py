"""Log calls as clients make them, in order and hostile; both frameworks answer the same."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import NamedTuple
from urllib.parse import urlencode

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
TEXT = "text/plain;charset=UTF-8"

WRONG_DATE = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
BLANK = "This field may not be blank."
NO_JSON = "JSON parse error - the body is no JSON in UTF-8."


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def fields(**given: object) -> dict[str, object]:
    return {"date": now(), "path": "/app/cart", **given}


def as_json(**given: object) -> bytes:
    return json.dumps(fields(**given)).encode()


def as_form(**given: object) -> bytes:
    return urlencode(fields(**given)).encode()


def as_multipart(**given: object) -> bytes:
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields(**given).items()
    ]
    return "".join([*parts, "--edge--\r\n"]).encode()


class Refused(NamedTuple):
    """A body that is refused, with its type and its answer."""

    name: str
    content_type: str
    body: bytes
    status: int
    answer: object


def _errors(**messages: str) -> dict[str, dict[str, list[str]]]:
    return {"errors": {name: [message] for name, message in messages.items()}}


NUL = "Null characters are not allowed."
NOT_A_TEXT = "Not a valid string."
TOO_LARGE = {"detail": "Request body is larger than 16384 bytes."}

REFUSED = (
    Refused("nothing at all", FORM, b"", 400, _errors(date=WRONG_DATE, path=BLANK)),
    Refused("no date", FORM, b"path=/a", 400, _errors(date=WRONG_DATE)),
    Refused("an empty date", FORM, b"date=&path=/a", 400, _errors(date=WRONG_DATE)),
    Refused("a malformed date", FORM, as_form(date="yesterday"), 400, _errors(date=WRONG_DATE)),
    Refused("a month too many", JSON, as_json(date="2026-13-01T00:00:00Z"), 400, _errors(date=WRONG_DATE)),
    Refused("a number for a date", JSON, as_json(date=1700000000), 400, _errors(date=WRONG_DATE)),
    Refused("a list for a date", JSON, as_json(date=["x"]), 400, _errors(date=WRONG_DATE)),
    Refused("an empty path", FORM, as_form(path=""), 400, _errors(path=BLANK)),
    Refused("no path", JSON, json.dumps({"date": now()}).encode(), 400, _errors(path=BLANK)),
    Refused("a path of null", JSON, as_json(path=None), 400, _errors(path=BLANK)),
    Refused("a list for a path", JSON, as_json(path=["/a"]), 400, _errors(path=NOT_A_TEXT)),
    Refused("a nested path", JSON, as_json(path={"a": {"b": 1}}), 400, _errors(path=NOT_A_TEXT)),
    Refused("true for a path", JSON, as_json(path=True), 400, _errors(path=NOT_A_TEXT)),
    Refused("a list for a referer", JSON, as_json(referer=[1]), 400, _errors(referer=NOT_A_TEXT)),
    Refused("a NUL in the path", FORM, as_form(path="/a\0b"), 400, _errors(path=NUL)),
    Refused("a path of 9,000", FORM, as_form(path="/" + "a" * 9000), 400,
            _errors(path="Ensure this field has no more than 8192 characters.")),
    Refused("half a JSON", JSON, b'{"date": "2026', 400, _errors(non_field_errors=NO_JSON)),
    Refused("half a JSON as text", TEXT, b'{"date": "2026', 400, _errors(non_field_errors=NO_JSON)),
    Refused("a list", JSON, b"[1]", 400,
            _errors(non_field_errors="Invalid data. Expected a dictionary, but got list.")),
    Refused("brackets without end", JSON, b"[" * 16_000, 400, _errors(non_field_errors=NO_JSON)),
    Refused("broken UTF-8", JSON, b'{"path": "\xff\xfe"}', 400, _errors(non_field_errors=NO_JSON)),
    Refused("a digit too many", JSON, b'{"path": ' + b"1" * 5000 + b"}", 400, _errors(non_field_errors=NO_JSON)),
    Refused("200 fields", FORM, b"&".join(b"a%d=1" % n for n in range(200)), 400,
            _errors(non_field_errors="Form parse error - more than 100 fields.")),
    Refused("a form without parts", "multipart/form-data", b"x", 400,
            _errors(non_field_errors="Multipart form parse error - the parts cannot be told apart.")),
    Refused("a picture", "image/png", b"\x89PNG", 415, {"detail": 'Unsupported media type "image/png" in request.'}),
    Refused("10 MB of JSON", JSON, as_json(path="x" * 10_000_000), 413, TOO_LARGE),
    Refused("10 MB of form", FORM, as_form(path="x" * 10_000_000), 413, TOO_LARGE),
)  # fmt: skip


class Taken(NamedTuple):
    """A body that is taken, with its type and the path that is recorded."""

    name: str
    content_type: str
    body: bytes
    path: str = "/app/cart"


TAKEN = (
    Taken("a form", FORM, as_form()),
    Taken("JSON", JSON, as_json()),
    Taken("JSON with a BOM", JSON, b"\xef\xbb\xbf" + as_json()),
    Taken("a beacon of JSON", TEXT, as_json()),
    Taken("a beacon of a form", TEXT, as_form()),
    Taken("a form of parts", "multipart/form-data; boundary=edge", as_multipart()),
    Taken("no type", "", as_json()),
    Taken("JSON of another kind", "application/vnd.shop+json", as_json()),
    Taken("a field twice", FORM, b"path=/first&" + as_form(path="/last"), "/last"),
    Taken("a number for a path", JSON, as_json(path=7), "/app/7"),
    Taken("broken UTF-8 in a form", FORM, b"date=" + now().replace("+", "%2B").encode() + b"&path=/%ff", "/\ufffd"),
    Taken("half a character", JSON, b'{"date": "' + now().encode() + b'", "path": "/\\ud800"}', "/?"),
    Taken("further fields", JSON, as_json(user="7", ip_address="1.2.3.4")),
)  # fmt: skip
