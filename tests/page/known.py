"""What the page's modules have to compute, computed by the bridge's own code and by paho."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nuki_bridge.protocol.codes import ErrorCode, LockState, OpenerState, name_of, open_enum
from nuki_bridge.sharing.invitation_code import grouped, key, lookup, make_code, seal

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "nuki_bridge" / "web" / "page"
NACL = PAGE / "vendor" / "nacl-fast.js"
"""The page's cryptography, which `make nacl` fetches."""
NPM = ROOT / ".cache" / "page" / "node_modules"

CHECKS = Path(__file__).with_name("checks.js").read_text(encoding="utf-8").rstrip().removesuffix(";")


def vectors() -> Any:
    """The published and derived known answers."""
    return json.loads((ROOT / "tests" / "unit" / "vectors.json").read_text())


def known() -> dict[str, Any]:
    """What JavaScript and Python have to agree upon."""
    nonce = bytes(range(24))
    codes = []
    for number in range(8):
        code = make_code(bytes((number * 37 + place * 11) & 255 for place in range(10)))
        typed = [
            grouped(code),
            code.lower(),
            f" {code[:8]} {code[8:]}\n",
            f"https://door.example.net/#code={grouped(code)}",
            f"nuki-bridge:invite?code={grouped(code)}",
            code.replace("0", "o").replace("1", "l"),
            grouped(code).replace("-", "–"),
            f"link:#code={code}",
        ][number]
        codes.append(
            {
                "code": code,
                "typed": typed,
                "shown": grouped(code),
                "lookup": lookup(code),
                "key": key(code).hex(),
                "nonce": nonce.hex(),
                "sealed": seal(key(code), b"content", nonce).hex(),
            }
        )
    return {
        "codes": codes,
        "mistyped": ["", "0123-4567-89AB-CDE", "0123-4567-89AB-CDEFG", "0123-4567-89AB-CDEU", "0123-4567-89AB-CDÉF"],
        "errors": [
            name_of(open_enum(ErrorCode, number)).replace("bad_parameter_pairing", "bad_parameter")
            for number in range(256)
        ],
        "states": [name_of(open_enum(LockState, number)) for number in range(256)],
        "opener_states": [name_of(open_enum(OpenerState, number)) for number in range(256)],
        "filters": [
            ["a/b", "a/b", True],
            ["a/+", "a/b", True],
            ["a/+", "a/b/c", False],
            ["a/#", "a/b/c", True],
            ["a/#", "a", True],
            ["a/+/c", "a/b/c", True],
            ["a/b/c", "a/b", False],
            ["a/b", "a/b/c", False],
        ],
        "packets": [_published("nuki/door/relay/x/write", bytes(range(size)), size) for size in (0, 1, 5, 200)],
    }


def _published(topic: str, payload: bytes, number: int) -> dict[str, Any]:
    """A PUBLISH of MQTT 5 with an expiry of 5 s and correlation data 01 02, as the specification has it."""
    flags = 0x30 | (2 if number else 0)
    name = topic.encode()
    properties = b"\x02\x00\x00\x00\x05\x09\x00\x02\x01\x02"
    body = len(name).to_bytes(2, "big") + name + (number.to_bytes(2, "big") if number else b"")
    body += bytes([len(properties)]) + properties + payload
    size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    return {"topic": topic, "payload": payload.hex(), "id": number, "bytes": (bytes([flags]) + size + body).hex()}
