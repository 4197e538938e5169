"""Plain and encrypted frames, their CRC, and `Reassembler` (smartlock.md 4 and 5).

A frame is one whole message as it crosses the air; a message may span several indications and an indication may hold
several messages.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

from nuki_bridge.errors import BadFrame
from nuki_bridge.protocol.codes import Command
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE, TAG_SIZE, d1, e1

HEADER_SIZE = 30
"""Bytes in front of the ciphertext: nonce (24), authorization ID (4) and length (2)."""
MAX_FRAME_SIZE = 512
"""Longest frame in bytes that is accepted from a lock or a guest; every documented message is far shorter."""
PAIRING_AUTHORIZATION_ID = 0x7FFFFFFF
"""Authorization ID in frames of the Ultra family's pairing, where there is none yet (smartlock.md 8.2)."""

PLAIN_ERROR_SIZE = 7
"""Bytes of an unencrypted Error Report, which bears no authorization ID; no encrypted frame is so short."""
_MIN_PLAINTEXT = 4 + 2 + 2
_PLAIN_SIZES = {
    Command.STATUS: 5,
    Command.AUTHORIZATION_INFO: 5,
    Command.ERROR_REPORT: 7,
    Command.PUBLIC_KEY: 36,
    Command.CHALLENGE: 36,
    Command.AUTHORIZATION_ID: 88,
    # what a client sends, for the lock's side
    Command.REQUEST_DATA: 6,
    Command.AUTHORIZATION_AUTHENTICATOR: 36,
    Command.AUTHORIZATION_DATA: 105,
    Command.AUTHORIZATION_ID_CONFIRMATION: 40,
}


def crc(data: bytes) -> bytes:
    """Return the CRC-16/CCITT-FALSE of `data`, 2 bytes little-endian."""
    return binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "little")


def seal_plain(command: int, payload: bytes) -> bytes:
    """Return an unencrypted frame: identifier, payload, CRC (4 bytes more than the payload)."""
    body = command.to_bytes(2, "little") + payload
    return body + crc(body)


def open_plain(frame: bytes) -> tuple[int, bytes]:
    """Return the identifier and payload of an unencrypted frame; raises `BadFrame` if it is short or its CRC wrong."""
    if len(frame) < 4:
        raise BadFrame(f"a plain frame of {len(frame)} bytes is too short")
    if crc(frame[:-2]) != frame[-2:]:
        raise BadFrame(f"wrong CRC in a plain frame of {len(frame)} bytes")
    return int.from_bytes(frame[:2], "little"), frame[2:-2]


def seal(authorization_id: int, command: int, payload: bytes, key: bytes, nonce: bytes) -> bytes:
    """An encrypted frame, 54 bytes more than the payload; `nonce` (24 bytes) must never have been used with `key`."""
    prefix = authorization_id.to_bytes(4, "little")
    ciphertext = e1(prefix + seal_plain_after(prefix, command, payload), nonce, key)
    return nonce + prefix + len(ciphertext).to_bytes(2, "little") + ciphertext


def seal_plain_after(prefix: bytes, command: int, payload: bytes) -> bytes:
    """Return identifier, payload and the CRC that also covers `prefix`."""
    body = command.to_bytes(2, "little") + payload
    return body + crc(prefix + body)


def open_frame(frame: bytes, key: bytes) -> tuple[int, bytes]:
    """Return the identifier and payload of an encrypted frame.

    The authorization ID inside is not compared (smartlock.md 4.5).  A CRC field of zero passes: firmware that leaves
    it out exists and the tag has proved the content.  Raises `BadFrame`.
    """
    if len(frame) < HEADER_SIZE + TAG_SIZE or len(frame) != frame_size(frame):
        raise BadFrame(f"an encrypted frame of {len(frame)} bytes contradicts its length field")
    plaintext = d1(frame[HEADER_SIZE:], frame[:BOX_NONCE_SIZE], key)
    if len(plaintext) == 24 and plaintext[:2] == b"\x07\x00" and plaintext[4:6] != b"\x07\x00":
        plaintext = bytes(4) + plaintext  # Ultra pairing as published: no authorization ID in front, CRC without it
        body = plaintext[4:-2]
    else:
        body = plaintext[:-2]
    if len(plaintext) < _MIN_PLAINTEXT:
        raise BadFrame(f"an encrypted frame holds only {len(plaintext)} bytes")
    if plaintext[-2:] not in (crc(body), b"\0\0"):
        raise BadFrame("wrong CRC inside an encrypted frame")
    return int.from_bytes(plaintext[4:6], "little"), plaintext[6:-2]


def frame_size(frame: bytes | bytearray) -> int:
    """Return how many bytes an encrypted frame has in all, told by its header (at least 30 bytes must be there)."""
    return HEADER_SIZE + int.from_bytes(frame[28:30], "little")


def authorization_id(frame: bytes) -> int:
    """Return the authorization ID in the header of an encrypted frame."""
    return int.from_bytes(frame[24:28], "little")


class Reassembler:
    """Collects the pieces of one characteristic into whole frames.

    `encrypted` frames carry their length; plain ones are as long as their identifier says.  Nothing marks the start
    of a frame, so after garbage everything collected is dropped, and so should the owner do (`clear`) on a disconnect,
    before a new request and after a second of silence.
    """

    def __init__(self, *, encrypted: bool) -> None:
        self.encrypted = encrypted
        self._buffer = bytearray()

    def clear(self) -> None:
        """Forget an unfinished frame."""
        self._buffer.clear()

    @property
    def begun(self) -> bytes:
        """The unfinished frame, as much of it as has come."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add one indication; yields each frame that it completes."""
        self._buffer += data
        while size := self._size():
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield frame

    def _size(self) -> int:
        """Return the size of the complete frame in front, 0 if there is none yet."""
        size = self._encrypted_size() if self.encrypted else self._plain_size()
        return size if len(self._buffer) >= size else 0

    def _plain_size(self) -> int:
        if len(self._buffer) < 2:
            return 0
        size = _PLAIN_SIZES.get(int.from_bytes(self._buffer[:2], "little"), 0)  # type: ignore[call-overload]
        if size == 0:
            self.clear()
        return int(size)

    def _encrypted_size(self) -> int:
        if len(self._buffer) >= 7 and self._is_error_report(bytes(self._buffer[:7])):
            return 7
        if len(self._buffer) < HEADER_SIZE:
            return 0
        size = frame_size(self._buffer)
        if not HEADER_SIZE + TAG_SIZE + _MIN_PLAINTEXT - 4 <= size <= MAX_FRAME_SIZE:
            self.clear()
            return 0
        return size

    @staticmethod
    def _is_error_report(head: bytes) -> bool:
        """An unencrypted Error Report may stand where an encrypted frame is expected (smartlock.md 4.4)."""
        return head[:2] == b"\x12\x00" and crc(head[:5]) == head[5:]
