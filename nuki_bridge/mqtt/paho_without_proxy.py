"""Load paho-mqtt without `urllib.request`, which it has for proxies alone.

That brings `http.client` and `email` along, 2 MiB of memory.  A connection here gets its socket from `tcp.py`, so paho
never looks for a proxy.
"""

from __future__ import annotations

import sys
from types import ModuleType

_UNUSED = "urllib.request"


def load() -> None:
    """Import `paho.mqtt.client`; whoever imports `urllib.request` later gets the real one."""
    if _UNUSED in sys.modules or "paho.mqtt.client" in sys.modules:
        return
    sys.modules[_UNUSED] = ModuleType(_UNUSED)
    try:
        import paho.mqtt.client  # noqa: F401
    finally:
        del sys.modules[_UNUSED]
