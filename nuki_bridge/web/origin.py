"""Whether a page that wants the tunnel is ours; no I/O.

A browser says in `Origin` which page asks, and in `Host` under which name it has found this server.  Without TLS it is
not enough that both are the same: whoever owns a name can let it mean this machine, and a page of theirs is then found
under it.  So only names that are ours count, and plain addresses, under which nobody else's page can be.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?")
_PORTS = {"http": "80", "https": "443"}


def is_ours(origin: str | None, host: str, *, secure: bool, names: Collection[str]) -> bool:
    """The page at `origin` is this server's, which was asked for as `host`.

    `secure`: the browser has checked the certificate's name; `names` are ours.
    """
    asked, from_page = _HOST.fullmatch(host), _ORIGIN.fullmatch(origin or "")
    if asked is None or from_page is None:
        return False
    name = _plain(from_page[2])
    if name in names:
        return True
    port = from_page[3] or _PORTS[from_page[1]]
    own_port = asked[2] or _PORTS["https" if secure else "http"]
    if name != _plain(asked[1]) or port != own_port:
        return False
    return secure or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _plain(name: str) -> str:
    return name.lower().strip("[]").rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
