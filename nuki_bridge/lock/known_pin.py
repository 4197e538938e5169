"""What is known of a lock's security PIN: which it is, and whether the lock has accepted, refused or ignored it.

A lock bans its owner for a few wrong PINs; whoever sends one asks here first, and reports here what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nuki_bridge.errors import LockError, RequestError
from nuki_bridge.protocol.codes import ErrorCode, Family
from nuki_bridge.protocol.messages import ErrorReport
from nuki_bridge.protocol.session import lock_error


async def _nothing(_deadline: float) -> None:
    pass


class KnownPin:
    """`digits` is None while none is known, `refused` says that it has been tried in vain before.

    `on_refused` gets each PIN that the lock refuses.  `family` gives the family of the lock as it is now: an update
    of its firmware may change it, and with it how many digits a PIN has.  `settle` is awaited with a deadline before a
    PIN that is `in_doubt` is used.
    """

    def __init__(
        self,
        digits: str | None,
        family: Callable[[], Family],
        *,
        refused: bool = False,
        on_refused: Callable[[str], None] = lambda pin: None,
        settle: Callable[[float], Awaitable[None]] = _nothing,
    ) -> None:
        self._family = family
        self._on_refused = on_refused
        self.settle = settle
        self.use(digits, refused=refused)

    def use(self, digits: str | None, *, refused: bool = False) -> None:
        """Take this PIN from now on; nothing else is known of it."""
        self.digits = digits
        self.unheard = 0
        """How often it was sent, before the lock had ever accepted it, and the answer got lost: it may be refused."""
        self.is_proven = False
        """The lock has accepted it since it was given to us, and not refused it afterwards."""
        self.in_doubt = False
        """A change of it was cut off: the lock may have another one."""
        self._refusal: LockError | None = _bad_pin() if refused else None

    def doubt(self) -> None:
        """Doubt this PIN: a change of it was cut off."""
        self.in_doubt = True

    @property
    def is_usable(self) -> bool:
        """Whether it is known, can be this lock's, and has not been refused by the lock."""
        return self.digits is not None and self._fits(self.digits) and self._refusal is None

    def to_send(self) -> int:
        """Return it as it goes into a message; raises `RequestError` if no possible one is known, or its refusal."""
        if self.digits is None:
            raise RequestError(
                "pin_required",
                "this needs the lock's security PIN; give it with `nuki-bridge pin verify` or in the configuration "
                "(`pin_file`)",
            )
        self.check_known(self.digits)
        if self._refusal is not None:
            raise self._refusal
        return int(self.digits)

    def check_known(self, digits: str) -> None:
        """Raises `RequestError` if the PIN that is known here has more or fewer digits than the lock's."""
        if not self._fits(digits):
            raise RequestError(
                "bad_pin",
                f"the security PIN known here has {len(digits)} digits, this lock's has {self._family().pin_digits}; "
                "correct it in the configuration (`pin`, `pin_file`), or give it with `nuki-bridge pin verify`",
            )

    def check_given(self, digits: str) -> None:
        """Raises `RequestError` if a PIN that somebody gives in a request does."""
        if not self._fits(digits):
            raise RequestError(
                "bad_request", f"pin must have {self._family().pin_digits} digits: this lock's PINs have so many"
            )

    def _fits(self, digits: str) -> bool:
        return len(digits) == self._family().pin_digits

    def proves(self, number: int) -> bool:
        """Return whether the PIN of this number is the one in use, and proven."""
        return self.is_proven and self.digits is not None and int(self.digits) == number

    def accepted(self, number: int) -> None:
        """Note that the lock accepted a command with the PIN of this number; another may be in use by now."""
        if self.digits is not None and int(self.digits) == number:
            self.is_proven, self.unheard = True, 0

    def is_right(self, digits: str) -> None:
        """Use this PIN from now on: the lock says that it is its own."""
        self.use(digits)
        self.is_proven = True

    def was_refused(self, error: LockError) -> None:
        """Note that the lock has refused it with this error."""
        self._refusal, self.is_proven = error, False
        if self.digits is not None:
            self._on_refused(self.digits)

    def was_unheard(self, number: int) -> None:
        """Note that a command with the PIN of this number got no answer."""
        if not self.proves(number):
            self.unheard += 1


def _bad_pin() -> LockError:
    return lock_error(ErrorReport(error=ErrorCode.BAD_PIN, failed_command=0))
