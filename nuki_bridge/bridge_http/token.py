"""Whether a call bears the token, in one of the maker's three ways, and whether it came before; no I/O.

A call over plain HTTP can be recorded.  So a hashed or an encrypted token counts once, and only within a minute of its
time on either side: else a call that was dated ahead would stay good until its time has come.  What is used is
forgotten when its time is over, and from then on nothing as old is taken, whatever the clock does.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from calendar import timegm
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest
from time import strptime

from nuki_bridge.kinds import Secret

VALID_S = 60
"""Seconds by which the time of a call may differ from ours, before it as after it."""
MAX_USED = 4096
"""Most calls that are remembered; beyond that none with a hashed or encrypted token is taken until some are over."""
_FORGET_S = 5.0
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_NUMBER = re.compile(r"\d{1,5}", re.ASCII)
_HASH = re.compile(r"[0-9A-Fa-f]{64}")
_NONCE = re.compile(r"[0-9A-Fa-f]{48}")
_SEALED = re.compile(r"([0-9A-Fa-f]{2}){38,42}")
"""The tag of 16 bytes, then 22 to 26 of text."""


class NoToken(Exception):
    """The call does not bear the token, or one that was used or is out of date; 401 to the client."""


class NotYet(Exception):
    """The token is right, but whether the call is new cannot be known: it may have been used before this process began,
    or this computer's clock is behind; 503 to the client."""


class Tokens:
    """Judges the tokens of all calls.

    `plain` allows the token itself as a parameter.  `clock` gives the seconds since 1970.  Nothing that is dated at or
    before `used_until` is taken: it may have been used when nobody here remembers it.  No call is taken that is dated
    after the moment which was last given to `reserve`, so that the next process knows what to refuse, however this one
    ends.
    """

    def __init__(
        self,
        token: Secret,
        *,
        plain: bool,
        clock: Callable[[], float],
        used_until: int,
        reserve: Callable[[int], None] = lambda until: None,
    ) -> None:
        self._token = token
        self._plain = plain
        self._clock = clock
        self._used: dict[bytes, int] = {}
        """What was used, with the time that it bears, in seconds since 1970."""
        self._over = self._reserved = used_until
        self._reserve = reserve
        self._forget_at = 0.0
        self.latest = used_until
        """The latest time, in seconds since 1970, that a call has borne which was taken."""

    def check(self, query: Mapping[str, str]) -> None:
        """Take a call with these parameters; raises `NoToken` or `NotYet`."""
        if "ctoken" in query:
            self._encrypted(query["ctoken"], query.get("nonce") or query.get("nounce") or "")
        elif "hash" in query:
            self._hashed(query.get("ts", ""), query.get("rnr", ""), query["hash"])
        elif not (
            self._plain
            and compare_digest(query.get("token", "").encode(errors="replace"), self._token.reveal().encode())
        ):
            raise NoToken

    def _hashed(self, time: str, number: str, told: str) -> None:
        at = _moment(time, number)
        right = sha256(f"{time},{number},{self._token.reveal()}".encode()).digest()
        if not _HASH.fullmatch(told) or not compare_digest(unhexlify(told), right):
            raise NoToken
        self._use(right, at)

    def _encrypted(self, sealed: str, nonce: str) -> None:
        if not _SEALED.fullmatch(sealed) or not _NONCE.fullmatch(nonce):
            raise NoToken
        from nacl.exceptions import CryptoError  # two MiB that only this way of three needs
        from nacl.secret import SecretBox

        number_once = unhexlify(nonce)
        try:
            text = SecretBox(sha256(self._token.reveal().encode()).digest()).decrypt(unhexlify(sealed), number_once)
        except CryptoError:
            raise NoToken from None
        time, _, number = text.decode("latin-1").partition(",")
        self._use(number_once, _moment(time, number))

    def _use(self, identity: bytes, at: int) -> None:
        now = self._clock()
        if now < self.latest - 3 * VALID_S:
            raise NotYet  # a Raspberry Pi after a power cut, that has not heard a time server yet
        if abs(now - at) > VALID_S or identity in self._used:
            raise NoToken
        self._forget(now)
        if at <= self._over or len(self._used) >= MAX_USED:
            raise NotYet
        if at > self._reserved:
            self._reserved = at + VALID_S
            self._reserve(self._reserved)
        self._used[identity] = at
        self.latest = max(self.latest, at)

    def _forget(self, now: float) -> None:
        if now < self._forget_at <= now + _FORGET_S:
            return
        self._forget_at = now + _FORGET_S
        for identity, at in [*self._used.items()]:
            if at < now - VALID_S:
                self._over = max(self._over, at)
                del self._used[identity]


def _moment(time: str, number: str) -> int:
    """Return the time of a call as seconds since 1970; raises `NoToken` if it or the number has no right form."""
    if not _TIME.fullmatch(time) or not _NUMBER.fullmatch(number) or int(number) > 0xFFFF:
        raise NoToken
    try:
        return timegm(strptime(time, "%Y-%m-%dT%H:%M:%SZ"))
    except (ValueError, OverflowError):
        raise NoToken from None
