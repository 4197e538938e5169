"""The page `/ca`, where the owner's phones get the own certificate authority, and what installing it means."""

from __future__ import annotations

from html import escape
from pathlib import Path

from nuki_bridge.web.files import TYPES, File, made
from nuki_bridge.web.own_ca import fingerprint

PAGE = "/ca"
CERTIFICATE = "/ca.crt"
TYPES.setdefault(".crt", "application/x-x509-ca-cert")

_HTML = Path(__file__).parent / "authority.html"


def files(authority: Path, names: tuple[str, ...]) -> dict[str, File]:
    """Return the page and the certificate by their paths."""
    html = _HTML.read_text("utf-8").format(names=escape(", ".join(names)), fingerprint=fingerprint(authority))
    return {PAGE: made(html.encode(), ".html"), CERTIFICATE: made(authority.read_bytes(), ".crt")}
