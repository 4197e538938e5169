"""An invitation's code, and what is derived from it; pure functions.

A code is 16 Crockford base-32 characters.  All 80 bits of it are random, so none is left for a check character: what
`read_code` can say of a mistyped code is that it has a wrong character or a wrong length.  One wrong character that is
a right one elsewhere makes another code; the bridge knows nothing of that one and answers `unknown`, which therefore
means "mistyped, or ended more than 7 days ago".
"""

from __future__ import annotations

import re
from hashlib import sha512

from nuki_bridge.errors import BadFrame
from nuki_bridge.mqtt import payload
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE, TAG_SIZE, d1, e1

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_SIZE = 16
"""Characters of a code, without dashes."""
RANDOM_SIZE = 10
"""Random bytes in a code."""
LINK = "nuki-bridge:invite?code="
"""What stands before the code in a link where there is no page; whoever scans it hands it to `nuki-bridge redeem`."""
PAGE_LINK = "/#code="
"""What stands between the page's URL and the code: behind # it never reaches a server."""

_IN_LETTER = re.compile(
    r"(?:nuki-bridge|https?):\S*[?&#]code=[^&#\s]*|(?<![\w-])\w{4}(?:-\w{4}){3}(?![\w-])", re.IGNORECASE
)
_LONGEST = CODE_SIZE + 4
"""Letters and digits in a line that may be a mistyped code; a line with more of them is a sentence of the letter."""
_DERIVATION = "nuki-bridge/invitation/1:"
_READ_AS = {"O": "0", "I": "1", "L": "1"}


def make_code(randomness: bytes) -> str:
    """Return the code (16 upper-case characters) that `randomness` (10 bytes) is."""
    if len(randomness) != RANDOM_SIZE:
        raise ValueError(f"a code is made of {RANDOM_SIZE} bytes")
    number = int.from_bytes(randomness, "big")
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(CODE_SIZE)))


def grouped(code: str) -> str:
    """Return a code as people read it: `XXXX-XXXX-XXXX-XXXX`."""
    return "-".join(code[start : start + 4] for start in range(0, CODE_SIZE, 4))


def link(code: str, page: str | None = None) -> str:
    """A code as a link, for a message or a QR code; `page` is the URL of the page that opens it, no / at its end."""
    return (LINK if page is None else page + PAGE_LINK) + grouped(code)


def read_code(text: str) -> str:
    """Return the 16 upper-case characters of a code or link as somebody typed it.

    Case, spaces and dashes do not matter, `O` is 0, `I` and `L` are 1.  Raises `ValueError` with a sentence that never
    holds the code.
    """
    text = text.strip()
    if re.match("(nuki-bridge|https?):", text, re.IGNORECASE):
        match = re.search(r"[?&#]code=([^&#]*)", text)
        text = match[1] if match else ""
    signs = [_READ_AS.get(sign, sign) for sign in text.upper() if not sign.isspace() and sign not in "-–—_."]
    for place, sign in enumerate(signs, 1):
        if sign not in ALPHABET:
            raise ValueError(
                f"the code is mistyped: character {place} is not one that codes have; they have digits and the letters"
                " A to Z without I, L, O and U"
            )
    if len(signs) != CODE_SIZE:
        raise ValueError(f"the code is mistyped: it has {len(signs)} characters, codes have {CODE_SIZE}")
    return "".join(signs)


def in_letter(line: str) -> str | None:
    """Return what of a line of somebody's letter is the code or the link, for `read_code`; None if it has neither.

    A short line is taken for a code, mistyped or not: only `read_code` can say what is wrong with it.
    """
    if match := _IN_LETTER.search(line):
        return match[0]
    rest = line.strip().strip("│").strip()
    signs = sum(sign.isalnum() for sign in rest)
    return rest if 0 < signs <= _LONGEST else None


def lookup(code: str) -> str:
    """Under which an invitation is found (32 hex digits); tells nothing of the code or the key."""
    return _derived(code)[:16].hex()


def key(code: str) -> bytes:
    """With which guest and bridge talk (32 bytes)."""
    return _derived(code)[-32:]


def _derived(code: str) -> bytes:
    return sha512((_DERIVATION + code).encode("ascii")).digest()


def client_of(content: bytes) -> bytes:
    """Return the client number (16 bytes) in a guest's request, which is JSON; raises `ValueError`."""
    client = payload.read_object(content.decode()).get("client")
    if not isinstance(client, str) or not re.fullmatch("[0-9a-fA-F]{32}", client):
        raise ValueError("a client number has 32 hex digits")
    return bytes.fromhex(client)


def seal(key: bytes, content: bytes, nonce: bytes) -> bytes:
    """`content` as a message on the invitation's topics; `nonce` has 24 bytes and is never used again."""
    return nonce + e1(content, nonce, key)


def unseal(key: bytes, data: bytes) -> bytes:
    """Undo `seal`; raises `BadFrame` if it was not made with this key."""
    if len(data) < BOX_NONCE_SIZE + TAG_SIZE:
        raise BadFrame("an invitation's message is longer than that")
    return d1(data[BOX_NONCE_SIZE:], data[:BOX_NONCE_SIZE], key)
