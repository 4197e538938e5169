"""HTTP/1.1 as far as the page needs it: one request's head read strictly, and answers with the page's headers; no I/O.

A browser asks for a file or for the tunnel; what else comes is refused, so that nothing has to be guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from http import HTTPStatus

from nuki_bridge.records import frozen

MAX_HEAD_SIZE = 8192
"""Bytes of a request up to its empty line; browsers send less than 2 KiB."""
MAX_FIELDS = 64

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""What every answer carries."""


class BadRequest(Exception):
    """A request that is refused; `status` is the answer, after which the connection ends."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@frozen
class Head:
    """A request without its body, which nobody needs; names of `fields` are in lower case."""

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False
    """The client wants the connection to end with the answer."""
    query: str = field(default="", repr=False)
    """What stands behind the question mark; it may hold a token."""

    def names(self, name: str, word: str) -> bool:
        """A field that is a list holds this word."""
        return word in (each.strip().lower() for each in self.fields.get(name, "").split(","))


_LINE = re.compile(r"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE|CONNECT) (/[!-~]*) HTTP/1\.([01])")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_ONCE = ("host", "origin", "content-length")


def parse(data: bytes) -> Head:
    """Return the request whose head, with the empty line, is `data`; raises `BadRequest`."""
    line, *rest = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "this is no request of HTTP/1.1")
    if len(rest) > MAX_FIELDS:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many header fields")
    fields: dict[str, str] = {}
    for each in rest:
        found = _FIELD.fullmatch(each)
        if found is None:
            raise BadRequest(HTTPStatus.BAD_REQUEST, "a header field cannot be read")
        name = found[1].lower()
        if name in fields and name in _ONCE:
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"there are two fields {name}")
        fields[name] = f"{fields[name]}, {found[2]}" if name in fields else found[2]
    if "host" not in fields:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "the field Host is missing")
    if "transfer-encoding" in fields or fields.get("content-length", "0") != "0":
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request has no body here")
    path, _, query = match[2].partition("?")
    head = Head(match[1], path, fields)
    return Head(head.method, path, fields, match[3] == "0" or head.names("connection", "close"), query)


def answer(
    status: HTTPStatus,
    body: bytes = b"",
    fields: Mapping[str, str] | None = None,
    *,
    content_type: str = "text/plain; charset=utf-8",
    head_only: bool = False,
    closes: bool = False,
) -> bytes:
    """Return a whole answer; without its body if `head_only`, and saying that the connection ends if `closes`."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    described = {"Content-Type": content_type} if body else {}
    length = {} if status is HTTPStatus.NOT_MODIFIED else {"Content-Length": str(len(body))}
    ends = {"Connection": "close"} if closes else {}
    for name, value in {**HEADERS, **described, **length, **(fields or {}), **ends}.items():
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head_only else body)
