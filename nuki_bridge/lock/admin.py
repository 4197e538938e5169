"""What the owner alone may ask of a lock: the commands that carry the security PIN.

The PIN is tried once: after the lock has refused it every such command is refused here with `bad_pin`, until the PIN
is changed, because the lock bans its owner after several wrong ones.  A refusal may get lost on its way: a command
whose answer stayed away is sent again only with a PIN that the lock has accepted before.  What the commands are good
for is told in `owner/users.py`, `sharing/invitations.py` and `bridge/bridge_commands.py`.
"""

from __future__ import annotations

from datetime import datetime

from nuki_bridge.errors import LockError
from nuki_bridge.lock.asking import Asking
from nuki_bridge.protocol.codes import ErrorCode, IdType
from nuki_bridge.protocol.messages import (
    AuthorizationDataInvite,
    AuthorizationEntry,
    AuthorizationEntryCount,
    AuthorizationIdInvite,
    Config,
    LogEntry,
    LogEntryCount,
    RemoveAuthorizationEntry,
    RequestAuthorizationEntries,
    RequestLogEntries,
    SetConfig,
    SetSecurityPin,
    Status,
    UpdateAuthorizationEntry,
    UpdateTime,
    VerifySecurityPin,
)
from nuki_bridge.protocol.wire import TimeLimit

NO_TIMEZONE = 0xFFFF
"""Timezone ID of firmware that has none."""


class Admin(Asking):
    """The owner's commands to one lock; `pin` is its security PIN (digits), None while it is not known.

    `refused` says that an earlier run has tried it in vain; `on_refused` is told a PIN that the lock refuses.
    """

    # -- authorizations -----------------------------------------------------------------------------------------------

    async def entries(self, timeout_s: float) -> list[AuthorizationEntry]:
        """Every authorization of the lock, in its own order; raises as `pages`."""
        deadline = self._lock.clock() + timeout_s
        kinds = AuthorizationEntry, AuthorizationEntryCount
        found = await self.pages(_request_entries, *kinds, lambda entry: entry.authorization_id, deadline)
        return list(found.values())

    async def page(self, offset: int, count: int, timeout_s: float) -> list[AuthorizationEntry]:
        """Up to `count` authorizations from place `offset` on, in the lock's order."""
        kinds = AuthorizationEntry, AuthorizationEntryCount
        return await self.listing(_request_entries(offset, count), *kinds, self._lock.clock() + timeout_s)

    async def update_entry(self, entry: AuthorizationEntry, timeout_s: float) -> None:
        """Write a whole authorization entry: all of `entry` that can be written."""
        request = UpdateAuthorizationEntry(
            authorization_id=entry.authorization_id,
            name=entry.name,
            enabled=entry.enabled,
            remote_allowed=entry.remote_allowed,
            time_limited=entry.time_limited,
            limit=entry.limit or TimeLimit(),
        )
        await self.ask(request, Status, timeout_s)

    async def remove_entry(self, authorization_id: int, timeout_s: float) -> None:
        """Delete an authorization; one that is not there (any more) is as good as deleted."""
        await self.remove(RemoveAuthorizationEntry(authorization_id=authorization_id), timeout_s)

    async def invite(
        self, name: str, shared_key: bytes, *, remote_allowed: bool, limit: TimeLimit | None, timeout_s: float
    ) -> AuthorizationIdInvite:
        """Create an App authorization with a key of our making (32 bytes).

        A lost answer raises `OutcomeUnknown`: it is not sent again, because there might be two then.
        """
        request = AuthorizationDataInvite(
            name=name,
            id_type=IdType.APP,
            shared_key=shared_key,
            remote_allowed=remote_allowed,
            time_limited=limit is not None,
            limit=limit or TimeLimit(),
        )
        return await self.ask(request, AuthorizationIdInvite, timeout_s, repeat=False)

    # -- the lock itself ----------------------------------------------------------------------------------------------

    async def verify_pin(self, pin: str, timeout_s: float) -> None:
        """Is this the security PIN?  It is used from now on if so; `LockError` `bad_pin` if not, after one try.

        This is the way to try a refused PIN once more; whoever calls it sees to it that this is done rarely.
        """

        try:
            await self._verify(pin, timeout_s, repeat=self.pin.proves(int(pin)))
        except LockError as error:
            if pin == self.pin.digits:
                self.note_refusal(error)
            raise
        self.pin.is_right(pin)

    async def is_pin(self, pin: str, timeout_s: float) -> bool:
        """Whether the lock takes this security PIN, asked once; nothing else comes of it.  Raises as `ask`."""

        try:
            await self._verify(pin, timeout_s, repeat=False)
        except LockError as error:
            if error.number != ErrorCode.BAD_PIN:
                raise
            return False
        return True

    async def _verify(self, pin: str, timeout_s: float, *, repeat: bool) -> None:
        await self.ask(VerifySecurityPin(security_pin=int(pin)), Status, timeout_s, repeat=repeat, given=pin)

    async def verify_own_pin(self, timeout_s: float) -> None:
        """Ask the lock, once, whether the PIN in use is right; raises as `ask`, `OutcomeUnknown` for a lost answer."""
        await self.ask(VerifySecurityPin(), Status, timeout_s, repeat=False)

    async def set_pin(self, pin: str, timeout_s: float) -> None:
        """Replace the lock's security PIN and use the new one from now on."""
        await self.ask(SetSecurityPin(new_pin=int(pin)), Status, timeout_s, repeat=False, given=pin)
        self.pin.is_right(pin)

    async def write_config(self, config: Config, timeout_s: float) -> None:
        """Write the basic configuration, whole: all of `config` that can be written."""
        request = SetConfig(
            name=config.name,
            latitude=config.latitude,
            longitude=config.longitude,
            auto_unlatch=config.auto_unlatch,
            pairing_enabled=config.pairing_enabled,
            button_enabled=config.button_enabled,
            led_enabled=config.led_enabled,
            led_brightness=config.led_brightness,
            timezone_offset_min=config.timezone_offset_min,
            dst_mode=config.dst_mode,
            fob_action_1=config.fob_action_1,
            fob_action_2=config.fob_action_2,
            fob_action_3=config.fob_action_3,
            single_lock=config.single_lock,
            advertising_mode=config.advertising_mode,
            timezone_id=NO_TIMEZONE if config.timezone_id is None else config.timezone_id,
        )
        await self.ask(request, Status, timeout_s)

    async def set_time(self, now: datetime, timeout_s: float) -> None:
        """Set the lock's clock."""
        await self.ask(UpdateTime(time=now), Status, timeout_s)

    async def log(self, *, start: int, count: int, descending: bool, timeout_s: float) -> list[LogEntry]:
        """Up to `count` log entries beyond `start` (exclusive; 0: from the newest or oldest), in the lock's order."""
        request = RequestLogEntries(start=start, count=count, descending=descending, total_count=True)
        found = await self.listing(request, LogEntry, LogEntryCount, self._lock.clock() + timeout_s)
        has_newest = start == 0 if descending else len(found) < count
        if has_newest and found and not self._lock.runs and self._lock.evidence is not None:
            self._lock.evidence.read(found)
        return found


def _request_entries(offset: int, count: int) -> RequestAuthorizationEntries:
    return RequestAuthorizationEntries(offset=offset, count=count, id_type=None)
