"""What an Opener sends of its settings, as bytes written by hand from the document's tables (opener.md 5 and 6)."""

from __future__ import annotations

TIME = "ea070b1d0f1e2d"  # 2026-11-29 15:30:45
NAME = b"Intercom".ljust(32, b"\0").hex()
PLACE = "0000484200007041"  # 50 N, 15 E


def config_bytes(tail: str = "") -> bytes:
    return bytes.fromhex(
        "7856341a"  # Nuki ID
        + NAME
        + PLACE
        + "02"  # ring to open only
        + "01"  # pairing enabled
        + "00"  # button disabled
        + "05"  # LED flash: not 0, which is on
        + TIME
        + "3c00"  # an hour from UTC
        + "01"  # European summer
        + "01"  # has a fob
        + "02"  # activate RTO
        + "07"  # open
        + "08"  # ring
        + "0d"  # Golmar
        + "01"  # normal advertising
        + "01"  # has a keypad
        + "010602"  # firmware 1.6.2
        + "0103"  # hardware 1.3
        + "2500"  # Europe/Berlin
        + tail
    )


ADVANCED_HEAD = (
    "3930"  # intercom 12345
    "01"  # bus mode switch: short circuit
    "f401"  # short circuit 500 ms
    "e803"  # strike after 1000 ms
    "01"  # random delay
    "b80b"  # strike for 3000 ms
    "00"  # RTO stays on after a ring
    "14"  # RTO for 20 minutes
)
ADVANCED_REST = (
    "05"  # doorbell suppressed in continuous mode and on every ring
    "d007"  # for 2000 ms
    "01"  # sound of a ring
    "02"  # of opening
    "03"  # of RTO
    "00"  # of continuous mode
    "01"  # confirmation
    "80"  # level
    "07"  # press: open
    "04"  # double press: toggle continuous mode
    "02"  # lithium
    "01"  # recognized by itself
)
