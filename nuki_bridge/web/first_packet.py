"""The MQTT packets that a phone sends: their bounds, and the first one, which gets the guests' account; no I/O.

Only CONNECT is read.  One that brings an account passes as it is.  One that brings none is written anew under the
guests' account: with a client ID of ours, because a broker ends the connection of whoever had the same ID before, and
without what would outlive the connection at the broker, a session or a will.
"""

from __future__ import annotations

import struct

from nuki_bridge.records import frozen

MAX_CONNECT_SIZE = 4096
"""Largest CONNECT in bytes."""
MAX_PACKET_SIZE = 20480
"""Largest other packet in bytes: the 16 KiB that the bridge takes, with topic and properties."""
MAX_GUEST_PACKET_SIZE = 1200
"""Bytes of a guest's: a message for the lock has 512 at most, and all guests' stay below what the bridge takes for a
flood, 1000 KiB in 5 s."""

_CONNECT = 0x10
_KEPT_PROPERTIES = {0x21: 2, 0x22: 2, 0x27: 4, 0x17: 1, 0x19: 1}
"""Receive Maximum, Topic Alias Maximum, Maximum Packet Size, Request Problem and Response Information: their sizes."""
_OTHER_PROPERTIES = {0x11: "four", 0x26: "pair", 0x15: "text", 0x16: "text"}
"""Session Expiry, User Property, Authentication Method and Data."""


class BadPacket(Exception):
    """What came is no MQTT as a phone's page speaks it."""


class Packets:
    """Counts packets in a stream, which may be cut anywhere; feed it with what passes."""

    def __init__(self, largest: int = MAX_PACKET_SIZE) -> None:
        self._largest = largest
        self._left = 0  # bytes of the packet under way
        self._header = bytearray()

    def feed(self, data: bytes) -> int:
        """Return how many packets begin in `data`; raises `BadPacket` if one is too large."""
        count, position = 0, 0
        while position < len(data):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
                continue
            self._header.append(data[position])
            position += 1
            if len(self._header) > 1 and self._header[-1] < 0x80:
                self._left = _length(self._header)[0]
                count += 1
                self._header.clear()
                if self._left > self._largest:
                    raise BadPacket(f"a packet of {self._left} bytes; {self._largest} are allowed")
            elif len(self._header) > 4:
                raise BadPacket("a packet's length cannot be read")
        return count


@frozen
class Connect:
    """A CONNECT: `whole` is the packet; `version` 4 (3.1.1) or 5."""

    whole: bytes
    version: int
    has_account: bool
    keep_alive: bytes
    properties: bytes
    """Properties of MQTT 5 that may stay."""

    def as_guest(self, username: str, password: str | None, client_id: str) -> bytes:
        """Return the packet under this account."""
        flags = 0x02 | 0x80 | (0x40 if password is not None else 0)  # clean start, username, password
        body = _text(b"MQTT") + bytes((self.version, flags)) + self.keep_alive
        if self.version == 5:
            body += _encoded_length(len(self.properties)) + self.properties
        body += _text(client_id.encode()) + _text(username.encode())
        if password is not None:
            body += _text(password.encode())
        return bytes((_CONNECT,)) + _encoded_length(len(body)) + body


def find_connect(data: bytes | bytearray) -> int:
    """The size of the CONNECT that `data` begins with, 0 if more bytes are needed to know; raises `BadPacket`."""
    if data and data[0] != _CONNECT:
        raise BadPacket("the first packet is no CONNECT")
    for end in range(2, min(len(data), 5) + 1):
        if data[end - 1] < 0x80:
            size = end + _length(data[:end])[0]
            if size > MAX_CONNECT_SIZE:
                raise BadPacket(f"a CONNECT of {size} bytes; {MAX_CONNECT_SIZE} are allowed")
            return size
    if len(data) >= 5:
        raise BadPacket("the first packet's length cannot be read")
    return 0


def read_connect(packet: bytes) -> Connect:
    """Return the CONNECT that `packet` is, to its last byte; raises `BadPacket`."""
    reader = _Reader(packet)
    reader.take(1)
    while reader.take(1)[0] >= 0x80:
        pass
    if reader.text() != b"MQTT":
        raise BadPacket("the protocol is not MQTT 3.1.1 or 5")
    version, flags = reader.take(2)
    if version not in (4, 5):
        raise BadPacket("the protocol is not MQTT 3.1.1 or 5")
    if flags & 0x01:
        raise BadPacket("a reserved flag is set")
    keep_alive = reader.take(2)
    properties = _kept(reader.block()) if version == 5 else b""
    reader.text()  # the client ID
    if flags & 0x04:
        if version == 5:
            reader.block()
        reader.text()
        reader.text()
    for flag in (0x80, 0x40):
        if flags & flag:
            reader.text()
    if not reader.at_end:
        raise BadPacket("a CONNECT is longer than what it holds")
    return Connect(packet, version, bool(flags & 0xC0), keep_alive, properties)


def is_accepted(answer: bytes) -> bool | None:
    """Return whether the broker's first packet says that it accepts; None if more bytes are needed."""
    if len(answer) < 4:
        return None
    if answer[0] != 0x20:
        return False
    end = 1
    while answer[end] >= 0x80:
        end += 1
        if end + 3 > len(answer):
            return None
    return answer[end + 2] == 0


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def at_end(self) -> bool:
        return self._position == len(self._data)

    def take(self, size: int) -> bytes:
        found = self._data[self._position : self._position + size]
        if len(found) < size:
            raise BadPacket("a CONNECT ends too early")
        self._position += size
        return found

    def text(self) -> bytes:
        (size,) = struct.unpack(">H", self.take(2))
        return self.take(size)

    def block(self) -> bytes:
        """Return the properties behind their length."""
        header = bytearray(self.take(1))
        while header[-1] >= 0x80:
            if len(header) == 4:
                raise BadPacket("the length of the properties cannot be read")
            header += self.take(1)
        return self.take(_length(b"\0" + header)[0])


def _kept(block: bytes) -> bytes:
    """Return those of a CONNECT's properties that say nothing but how to talk."""
    reader, kept = _Reader(block), b""
    while not reader.at_end:
        number = reader.take(1)[0]
        if number in _KEPT_PROPERTIES:
            kept += bytes((number,)) + reader.take(_KEPT_PROPERTIES[number])
        elif _OTHER_PROPERTIES.get(number) == "four":
            reader.take(4)
        elif _OTHER_PROPERTIES.get(number) == "pair":
            reader.text()
            reader.text()
        elif number in _OTHER_PROPERTIES:
            reader.text()
        else:
            raise BadPacket("a property that no CONNECT has")
    return kept


def _length(header: bytes | bytearray) -> tuple[int, int]:
    """Return the remaining length in a fixed header, and the header's size."""
    value = 0
    for place, byte in enumerate(header[1:]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, place + 2
    raise BadPacket("a packet's length cannot be read")


def _encoded_length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        encoded.append(low | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def _text(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data
