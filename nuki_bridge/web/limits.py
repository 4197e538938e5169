"""How much of this process one phone, one address and all together may have.

What phones reach shall bear whatever a network sends: connections are counted before anything is read from them, and
who was promised a place keeps it.  A reverse proxy's connections all come from this machine; they count only in all.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable

from nuki_bridge.allowance import Allowance
from nuki_bridge.records import mutable

MAX_CONNECTIONS = 256
"""Most connections in all; every one costs memory, and a tunnel a connection at the broker, too."""
MAX_OF_ONE = 40
"""Most connections from one address: a family behind one router, each phone with its tunnel and the six connections of
a first visit."""
NEW_OF_ONE = (60, 5.0)
"""New connections from one address: how many at once, and how many more in a second."""
MAX_ADDRESSES = 2000
"""Most addresses that are remembered."""
PACKETS = (100, 20.0)
"""MQTT packets that a phone sends over one tunnel: how many at once, then how many in a second."""
PACKETS_OF_ONE = (300, 60.0)
"""Packets that all phones of one address send, likewise."""
PACKETS_OF_GUESTS = (200, 80.0)
"""Packets that all without an account send: the bridge shuts guests out at over 1000 in 5 s."""
LOGINS = (10, 1 / 30)
"""Logins from one address that the broker refuses: how many at once, and how many more in a second."""


@mutable
class AddressUse:
    """One address and what it has used."""

    new: Allowance
    packets: Allowance
    logins: Allowance
    connections: int = 0
    counted: bool = True

    @property
    def forgettable(self) -> bool:
        return not self.connections and self.new.full and self.packets.full and self.logins.full


class Place:
    """One connection's place; `established` once a broker has accepted who uses it, `give_way` ends it."""

    __slots__ = ("client", "established", "give_way")

    def __init__(self, client: AddressUse) -> None:
        self.client = client
        self.established = False
        self.give_way: Callable[[], object] = lambda: None


class Limits:
    """All connections' places."""

    def __init__(self, clock: Callable[[], float], *, in_all: int = MAX_CONNECTIONS, of_one: int = MAX_OF_ONE) -> None:
        self._clock = clock
        self._in_all = in_all
        self._of_one = of_one
        self._clients: dict[str, AddressUse] = {}
        self._places: dict[Place, None] = {}  # the oldest first
        self.guests = Allowance(*PACKETS_OF_GUESTS, clock)

    def __len__(self) -> int:
        return len(self._places)

    def place(self, address: str) -> Place | None:
        """Return a place for a new connection from this IP address; None if there is none.

        When all are taken, the oldest connection that no broker has accepted gives way.
        """
        key = _key(address)
        client = self._clients.get(key) or self._remember(key)
        if client.counted and (client.connections >= self._of_one or not client.new.take()):
            return None
        if len(self._places) >= self._in_all:
            other = next((each for each in self._places if not each.established), None)
            if other is None:
                return None
            other.give_way()
            self.leave(other)
        place = Place(client)
        client.connections += 1
        self._places[place] = None
        return place

    def leave(self, place: Place) -> None:
        """The connection is gone."""
        if place in self._places:
            del self._places[place]
            place.client.connections -= 1

    def wait_s(self, place: Place, tunnel: Allowance, packets: int) -> float:
        """Return how long so many packets of a tunnel have to wait before they are passed on."""
        waits = [tunnel.owe(packets)]
        if place.client.counted:
            waits.append(place.client.packets.owe(packets))
        return max(waits)

    def tunnel(self) -> Allowance:
        """For one tunnel."""
        return Allowance(*PACKETS, self._clock)

    def _remember(self, key: str) -> AddressUse:
        if len(self._clients) >= MAX_ADDRESSES:
            # Room for many at once, so that a flood of addresses does not have all of them looked at for each new one.
            self._clients = {name: each for name, each in self._clients.items() if not each.forgettable}
            unused = (name for name, each in self._clients.items() if not each.connections)
            for name in list(itertools.islice(unused, max(0, len(self._clients) - MAX_ADDRESSES * 7 // 8))):
                del self._clients[name]
        new, packets, logins = (Allowance(*each, self._clock) for each in (NEW_OF_ONE, PACKETS_OF_ONE, LOGINS))
        client = self._clients[key] = AddressUse(new, packets, logins, counted=key != "this machine")
        return client


def _key(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that a home has of IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return "this machine"
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
