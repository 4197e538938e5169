"""Load Python's own hashes and an asyncio without TLS, as where Python is built without OpenSSL: that takes 4 MiB.

The daemon speaks TLS to its broker alone, by `mqtt/tls.py`, which loads what it needs if a broker wants it.
"""

from __future__ import annotations

import sys
from importlib import import_module

_OPENSSL = ("_hashlib", "ssl")
_LOADS_IT = ("hashlib", "hmac", "asyncio")


def load() -> None:
    """Import what would load OpenSSL, unless that is loaded; whoever imports `ssl` later gets the real one."""
    hidden = [name for name in _OPENSSL if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        for name in _LOADS_IT:
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]
