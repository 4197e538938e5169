"""What carries a lock's bytes: the interface between a `Lock` and Bluetooth.

`radio.py` implements it over BlueZ, `simulator/radio.py` in memory.  A `Radio` sees advertisements and hands out links;
a `Link` is one GATT connection to one lock, used again after every disconnect.  Nothing here knows messages or keys.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import Family
from nuki_bridge.records import frozen


class Channel(enum.Enum):
    """The characteristics a lock talks on (smartlock.md 1)."""

    PAIRING = "pairing"
    """GDIO of the pairing service (a92ee101, a92ee301 or a92ae101): unencrypted but for two Ultra messages."""
    GDIO = "gdio"
    """GDIO of the keyturner service (a92ee201): unencrypted Error Reports of a lock that cannot decrypt us."""
    USDIO = "usdio"
    """USDIO of the keyturner service (a92ee202): everything after pairing, encrypted."""


OnData = Callable[[Channel, bytes], None]
"""Called with the value of each indication as it arrives: a piece of a message, not a message."""


class Link(Protocol):
    """One GATT connection to one lock.

    Its owner calls `connect`, then `write`; indications arrive at the `on_data` and a loss of the link at the
    `on_disconnect` that `Radio.link` was given.  `on_disconnect` is called once for each successful `connect`, also
    after `disconnect`.
    """

    address: str

    @property
    def connected(self) -> bool:
        """The link is up and subscribed."""

    @property
    def family(self) -> Family | None:
        """Family told by the characteristics found at the last `connect`; None before the first."""

    @property
    def rssi(self) -> int | None:
        """Signal strength last seen in dBm, if any."""

    @property
    def gdio_subscribed(self) -> bool:
        """The link is up and what comes on GDIO arrives, as far as the lock has it."""

    @property
    def services(self) -> Mapping[str, Sequence[str]]:
        """UUIDs of the services found at the last `connect`, each with those of its characteristics and what they can
        do; empty where nobody looked for any."""

    async def connect(self, timeout_s: float, *, pairing: bool = False, skip_gdio: bool = False) -> None:
        """Connect, discover and enable indications, all within `timeout_s`.

        Subscribes to USDIO and GDIO; with `skip_gdio` to USDIO only, with `pairing` to PAIRING.  One attempt, no
        retry: that is the owner's business.  Raises `NotFound`, `TimedOut`, `Disconnected`, `AdapterUnavailable` or
        another `LinkError`; the link is down then.
        """

    async def subscribe_gdio(self) -> None:
        """Subscribe to GDIO unless that is done.  Raises `LinkError`; the link may be up then."""

    async def write(self, channel: Channel, data: bytes) -> None:
        """Write one whole message with response (long write if it exceeds the MTU); returns when the lock's stack
        has confirmed it.  Raises `LinkError`: whether the lock got the bytes is then unknown."""

    async def disconnect(self) -> None:
        """Drop the link; never raises, does nothing when it is down."""


@frozen
class RadioStatus:
    """Whether Bluetooth can be used now; `reason` is a sentence for people when it cannot."""

    available: bool
    adapter: str | None = None
    reason: str | None = None


class Radio(Protocol):
    """An adapter: one long-lived scanner for every lock, and the links."""

    @property
    def status(self) -> RadioStatus:
        """Whether Bluetooth can be used now."""

    async def run(self, on_sighting: Callable[[Sighting], None], on_status: Callable[[RadioStatus], None]) -> None:
        """Scan until cancelled, through every loss of adapter or Bluetooth daemon; report each change of status once
        (the first one too)."""

    def look_around(self) -> AbstractContextManager[None]:
        """Report unknown devices and every advertisement, too, during a block: somebody looks for a lock to pair."""

    def link(self, address: str, on_data: OnData, on_disconnect: Callable[[], None]) -> Link:
        """Return a link to the lock at `address` (`AA:BB:CC:DD:EE:FF`), not yet connected."""
