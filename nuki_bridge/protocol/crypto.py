"""The document's functions under the document's names (smartlock.md 6), over libsodium."""

from __future__ import annotations

import hmac

from nacl.bindings import (
    crypto_box_beforenm,
    crypto_scalarmult,
    crypto_scalarmult_base,
    crypto_secretbox,
    crypto_secretbox_open,
)
from nacl.exceptions import CryptoError

from nuki_bridge.errors import BadFrame

KEY_SIZE = 32
"""Bytes of a Curve25519 key and of the shared key."""
BOX_NONCE_SIZE = 24
"""Bytes of a secretbox nonce; it must never repeat under one key."""
TAG_SIZE = 16
"""Bytes that secretbox adds in front."""


def public_key(secret: bytes) -> bytes:
    """Return the Curve25519 public key (32 bytes) of a secret one."""
    return crypto_scalarmult_base(secret)


def dh1(secret: bytes, peer_public: bytes) -> bytes:
    """Return the Curve25519 shared point (32 bytes) before kdf1.

    Raises `BadFrame` if the peer's key is a weak point that would make the result known to everybody.
    """
    try:
        return crypto_scalarmult(secret, peer_public)
    except (CryptoError, RuntimeError):
        raise BadFrame("the peer's public key is not a valid Curve25519 key") from None


def kdf1_dh1(secret: bytes, peer_public: bytes) -> bytes:
    """Return kdf1(dh1(...)), the long-term shared key s (32 bytes).  Raises `BadFrame` as `dh1` does."""
    dh1(secret, peer_public)
    return crypto_box_beforenm(peer_public, secret)


def h1(key: bytes, *parts: bytes) -> bytes:
    """Return the HMAC-SHA256 (32 bytes) over the concatenated parts."""
    return hmac.digest(key, b"".join(parts), "sha256")


def equal(a: bytes, b: bytes) -> bool:
    """Compare two authenticators in constant time."""
    return hmac.compare_digest(a, b)


def e1(plaintext: bytes, nonce: bytes, key: bytes) -> bytes:
    """Return the XSalsa20-Poly1305, tag (16 bytes) first."""
    return crypto_secretbox(plaintext, nonce, key)


def d1(ciphertext: bytes, nonce: bytes, key: bytes) -> bytes:
    """Undo `e1`; raises `BadFrame` if the tag does not fit."""
    try:
        return crypto_secretbox_open(ciphertext, nonce, key)
    except (CryptoError, ValueError):
        raise BadFrame("a frame does not decrypt under this authorization's key") from None
