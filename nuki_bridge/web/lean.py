"""The page's scripts as they travel: without the comments that say what types things have.

Comments are half of a script, and a phone far from home waits for each byte.  Nothing else changes, so that what a
browser's developer tools show is still the code that stands in the repository.
"""

from __future__ import annotations

import re

_BLOCK = re.compile(r"^[ \t]*/\*\*.*?\*/[ \t]*\n?", re.DOTALL | re.MULTILINE)
"""A comment that begins its line; `/**` at the start of a line is nothing else in the page's scripts."""
_CAST = re.compile(r"/\*\* @.*?\*/ ?")
"""A type in the midst of a line."""
_LINE = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


def lean(script: str) -> str:
    """Return a script without comments and indentation; it must have no text of several lines (template literal)."""
    return _INDENT.sub("", _LINE.sub("", _CAST.sub("", _BLOCK.sub("", script))))


_UNUSED = re.compile(
    r"^function add\(p, q\).*?(?=^var crypto_secretbox_KEYBYTES)"
    r"|^nacl\.lowlevel = .*?(?=^/\* High-level API)"
    r"|^nacl\.sign = .*?(?=^nacl\.hash = )",
    re.DOTALL | re.MULTILINE,
)
"""Signatures, and the names for whoever wants tweetnacl's inner functions."""
_OF_PAIRING = re.compile(
    r"^function set25519\(.*?(?=^var K = \[)|^nacl\.scalarMult = .*?(?=^nacl\.hash = )", re.DOTALL | re.MULTILINE
)
"""The curve and what is made of it, once the signatures are out: only a phone that pairs with a lock needs it."""


def lean_tweetnacl(script: str) -> str:
    """tweetnacl as it travels: without signatures, which the page has no use for, and without comments."""
    return lean(_UNUSED.sub("", script))


def tweetnacl_of_guests(script: str) -> str:
    """The same without what only pairing needs: a quarter less for everybody who just opens a door."""
    return _OF_PAIRING.sub("", lean_tweetnacl(script))
