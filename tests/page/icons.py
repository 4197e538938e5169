"""Draws the page's icons, a door in white on blue, as PNG files beside icon.svg:  python -m tests.page.icons

A file has sixteen shades of the two colours and so is a few hundred bytes.
"""

from __future__ import annotations

import math
import struct
import zlib

from tests.page.known import PAGE

SIZES = (180, 192, 512)
BLUE, WHITE = (0x1F, 0x6F, 0xEB), (0xFF, 0xFF, 0xFF)
STROKE = 26
"""Width of the lines in a picture of 512 units, as in icon.svg."""
LINES = ((160, 396, 160, 116), (160, 116, 352, 116), (352, 116, 352, 396), (120, 396, 392, 396), (304, 262, 304, 262))


def _distance(x: float, y: float, line: tuple[int, int, int, int]) -> float:
    ax, ay, bx, by = line
    length = (bx - ax) ** 2 + (by - ay) ** 2
    along = 0.0 if length == 0 else max(0.0, min(1.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length))
    return math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(size: int) -> bytes:
    """The icon as a PNG of `size` pixels."""
    scale = 512 / size
    rows = bytearray()
    for row in range(size):
        shades = []
        for column in range(size):
            x, y = (column + 0.5) * scale, (row + 0.5) * scale
            nearest = min(_distance(x, y, line) - (8 if line[:2] == line[2:] else 0) for line in LINES)
            covered = max(0.0, min(1.0, (STROKE / 2 - nearest) / scale + 0.5))
            shades.append(round(15 * covered))
        rows += b"\0" + bytes(a << 4 | b for a, b in zip(shades[::2], shades[1::2], strict=True))
    palette = bytes(round(a + (b - a) * shade / 15) for shade in range(16) for a, b in zip(BLUE, WHITE, strict=True))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 4, 3, 0, 0, 0))
        + _chunk(b"PLTE", palette)
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + _chunk(b"IEND", b"")
    )


if __name__ == "__main__":
    for each in SIZES:
        (PAGE / "icons" / f"icon-{each}.png").write_bytes(picture(each))
