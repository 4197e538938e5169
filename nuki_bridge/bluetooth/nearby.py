"""Who is heard on the air: what `scan` answers, and the wait for a lock in pairing mode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nuki_bridge.errors import RequestError
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import Family
from nuki_bridge.records import mutable

FRESH_S = 3.0
"""Seconds for which pairing mode counts after it was heard: the button may have been held before the request came."""
COMPANY_S = 2.0
"""Seconds to listen for a second lock after the first one in pairing mode was heard."""
FORGET_S = 600.0
"""Seconds without an advertisement after which a device is forgotten."""
HOW_TO_PAIR = (
    "hold the lock's button for about 5 seconds until its ring lights up (pairing by button must be switched on in the"
    " maker's app); a lock leaves pairing mode after about a minute"
)


@mutable
class Heard:
    """What one device has said in its advertisements; times are on the clock."""

    address: str
    heard_at: float
    name: str | None = None
    nuki_id: int | None = None
    rssi: int | None = None
    pairing: Family | None = None
    pairing_at: float | None = None

    def in_pairing_mode(self, since: float) -> bool:
        """Return whether it has said so since then."""
        return self.pairing_at is not None and self.pairing_at >= since


class NearbyDevices:
    """The Nuki devices in range."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._devices: dict[str, Heard] = {}
        self._pairing = asyncio.Event()

    def hear(self, sighting: Sighting) -> None:
        """Take in an advertisement; name, Nuki ID and pairing mode come in different ones."""
        now = self._clock()
        heard = self._devices.get(sighting.address)
        if heard is None:
            self._forget_old(now)
            heard = self._devices[sighting.address] = Heard(sighting.address, now)
        heard.heard_at = now
        heard.name = sighting.name or heard.name
        heard.nuki_id = heard.nuki_id if sighting.nuki_id is None else sighting.nuki_id
        heard.rssi = heard.rssi if sighting.rssi is None else sighting.rssi
        if sighting.pairing is not None:
            heard.pairing, heard.pairing_at = sighting.pairing, now
            self._pairing.set()

    def has_paired(self, address: str) -> None:
        """Note that the lock has just paired, which ends its pairing mode."""
        if address in self._devices:
            self._devices[address].pairing_at = None

    def since(self, moment: float) -> list[Heard]:
        """Return the devices heard since then, the strongest first."""
        heard = [each for each in self._devices.values() if each.heard_at >= moment]
        return sorted(heard, key=lambda each: -1000 if each.rssi is None else each.rssi, reverse=True)

    async def wait_for_pairing(self, address: str | None, timeout_s: float) -> Heard:
        """Return the lock in pairing mode, at `address` if one is given.

        Raises `RequestError`: `not_pairing` when there is none in time, `ambiguous` when there are several.
        """
        started = self._clock()
        since = started - FRESH_S
        while not (found := self._pairing_since(address, since)):
            left = started + timeout_s - self._clock()
            self._pairing.clear()
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    await self._pairing.wait()
            except TimeoutError:
                which = f"the lock {address}" if address else "a lock"
                raise RequestError(
                    "not_pairing", f"{which} in pairing mode was not heard within {timeout_s:g} s: {HOW_TO_PAIR}"
                ) from None
        if address is None:
            await asyncio.sleep(COMPANY_S)
            found = self._pairing_since(None, since)
        if len(found) > 1:
            choice = ", ".join(f"{each.address} ({each.name or 'no name'})" for each in found)
            raise RequestError("ambiguous", f"several locks are in pairing mode, give the address of one: {choice}")
        return found[0]

    def _pairing_since(self, address: str | None, since: float) -> list[Heard]:
        devices = self._devices.values()
        return [each for each in devices if each.in_pairing_mode(since) and address in (None, each.address)]

    def _forget_old(self, now: float) -> None:
        for address, heard in list(self._devices.items()):
            if now - heard.heard_at > FORGET_S:
                del self._devices[address]
