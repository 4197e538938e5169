"""Asks BlueZ as the user of this process: `python -m nuki_bridge.doctor.ask_bluez [ADAPTER]`."""

from __future__ import annotations

import asyncio
import sys

from nuki_bridge.doctor import bluetooth


def main() -> None:
    """Print it as JSON."""
    adapter = sys.argv[1] if len(sys.argv) > 1 else ""
    print(bluetooth.told(asyncio.run(bluetooth.ask(adapter or None))))


if __name__ == "__main__":
    main()
