"""Load paho-mqtt without what a connection of this program does not need of it.

It has `urllib.request` for proxies alone, which brings `http.client` and `email` along, 2 MiB of memory; a connection
here gets its socket from `tcp.py`, so paho never looks for a proxy.  `ssl` brings OpenSSL along, 3 MiB, which only a
broker with TLS needs.
"""

from __future__ import annotations

import sys
from types import ModuleType

_CLIENT = "paho.mqtt.client"
_NEVER = type("Never", (Exception,), {"__doc__": "What a socket without TLS does not raise."})
_STAND_INS = {"urllib.request": (), "ssl": ("SSLWantReadError", "SSLWantWriteError")}
"""Modules that paho imports at its beginning, and what it uses of them on a socket without TLS: exceptions."""


def load(*, tls: bool) -> None:
    """Import `paho.mqtt.client`, to be used with `tls` or without; whoever imports the others gets the real ones."""
    if _CLIENT not in sys.modules:
        _load_client()
    if tls:
        import ssl

        vars(sys.modules[_CLIENT])["ssl"] = ssl


def _load_client() -> None:
    absent = {name: uses for name, uses in _STAND_INS.items() if name not in sys.modules}
    for name, uses in absent.items():
        stand_in = sys.modules[name] = ModuleType(name)
        vars(stand_in).update(dict.fromkeys(uses, _NEVER))
    try:
        import paho.mqtt.client  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]
