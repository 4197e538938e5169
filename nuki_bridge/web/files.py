"""The page's files, read once and served from memory, with a tag of their content, compressed where that helps."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from nuki_bridge.errors import PageError
from nuki_bridge.records import frozen
from nuki_bridge.web.bundle import WORKER, bundled
from nuki_bridge.web.http import Head, answer
from nuki_bridge.web.lean import lean, lean_tweetnacl, tweetnacl_of_guests

PAGE = Path(__file__).parent / "page"
TWEETNACL = "/vendor/nacl-fast.js"
TWEETNACL_WHOLE = "/vendor/nacl-whole.js"
"""The path of tweetnacl with all that pairing needs; there is no such file, it is made of the other."""
TWEETNACL_SHA256 = "6bcd37a3b20dce913f82d4b23e4e2b661058b4b953df8a3f8c45d56ac4f72447"
"""SHA-256 of version 1.0.3, whose bytes are the same in npm and in Debian's node-tweetnacl."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
}
"""Content types by the end of a file's name; files of other kinds are not served."""
_COMPRESSED_ALREADY = (".png", ".ico")
_TO_COMPRESS = 512
"""Smallest file in bytes that is compressed; less does not become smaller."""


@frozen
class File:
    """One file as it is served; `packed` is None if it does not get smaller."""

    content_type: str
    plain: bytes
    packed: bytes | None
    tag: str

    def respond(self, head: Head, *, closes: bool) -> bytes:
        """Return the answer to whoever asks for it: what they have still holds, or the whole file."""
        packs = self.packed is not None and head.names("accept-encoding", "gzip")
        tag = f'"{self.tag}-gz"' if packs else f'"{self.tag}"'
        fields = {"ETag": tag, "Vary": "Accept-Encoding"}
        known = {each.strip().removeprefix("W/") for each in head.fields.get("if-none-match", "").split(",")}
        if known & {f'"{self.tag}"', f'"{self.tag}-gz"', "*"}:
            return answer(HTTPStatus.NOT_MODIFIED, fields=fields, closes=closes)
        if packs:
            fields["Content-Encoding"] = "gzip"
        body = self.packed if packs and self.packed is not None else self.plain
        head_only = head.method == "HEAD"
        return answer(HTTPStatus.OK, body, fields, content_type=self.content_type, head_only=head_only, closes=closes)


def made(content: bytes, suffix: str) -> File:
    """Return a file with this content; scripts travel without what a phone has no use for."""
    if suffix == ".js":
        content = lean(content.decode()).encode()
    packed = None
    if len(content) >= _TO_COMPRESS and suffix not in _COMPRESSED_ALREADY:
        packed = gzip.compress(content, 9, mtime=0)
        packed = packed if len(packed) < len(content) else None
    return File(TYPES[suffix], content, packed, sha256(content).hexdigest()[:20])


def load(directory: Path = PAGE) -> dict[str, File]:
    """Return every file by its path; raises `PageError` if the page is not whole."""
    found: Mapping[str, Path] = {
        f"/{each.relative_to(directory)}": each
        for each in sorted(directory.rglob("*"))
        if each.suffix in TYPES and each.is_file()
    }
    if "/index.html" not in found:
        raise PageError(f"the page's files are not in {directory}; install nuki-bridge again")
    check_tweetnacl(directory / TWEETNACL[1:])
    content = {path: each.read_bytes() for path, each in found.items()}
    scripts = {path: each.decode() for path, each in content.items() if path.endswith(".js")}
    nacl = scripts.pop(TWEETNACL)
    scripts = bundled(scripts)
    scripts[TWEETNACL] = tweetnacl_of_guests(nacl)
    if scripts[TWEETNACL] != lean_tweetnacl(nacl):
        scripts[TWEETNACL_WHOLE] = lean_tweetnacl(nacl)
        if WORKER in scripts:
            scripts[WORKER] = _listed_later(scripts[WORKER], TWEETNACL_WHOLE)
    content |= {path: each.encode() for path, each in scripts.items()}
    files = {path: made(each, Path(path).suffix) for path, each in content.items()}
    files["/"] = files["/index.html"]
    return files


def _listed_later(worker: str, path: str) -> str:
    """Return the service worker with one more file among those that are loaded when they are wanted."""
    return worker.replace("const LATER = [", f'const LATER = ["{path[1:]}", ', 1)


def settings(base_topic: str) -> dict[str, File]:
    """Return what the page has to know of this server, for `/settings.json`."""
    return {"/settings.json": made(json.dumps({"base_topic": base_topic}).encode(), ".json")}


def check_tweetnacl(file: Path) -> None:
    """Raise `PageError` unless the page's cryptography is there, byte for byte."""
    try:
        content = file.read_bytes()
    except OSError:
        raise PageError(
            f"the page's cryptography, tweetnacl's nacl-fast.js, is not in {file.parent}; in a clone `make nacl`"
            " fetches it, else install nuki-bridge again"
        ) from None
    if sha256(content).hexdigest() != TWEETNACL_SHA256:
        raise PageError(
            f"{file} is not nacl-fast.js of tweetnacl 1.0.3 (SHA-256 {TWEETNACL_SHA256[:16]}…); remove it, and in a"
            " clone `make nacl` fetches it, else install nuki-bridge again"
        )
