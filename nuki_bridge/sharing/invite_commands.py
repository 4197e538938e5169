"""What MQTT has of invitations: the owner's requests, the list of open ones, the events, and a guest's redeeming.

A code stands in one answer, to whoever asked for the invitation, and nowhere else.  How an invitation lives is told in
`invitations.py`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from nuki_bridge.arguments import Arguments, Declaration, duration, entry_id, flag, text
from nuki_bridge.errors import NukiError, RequestError
from nuki_bridge.lock import wall_clock
from nuki_bridge.lock.lock import Lock
from nuki_bridge.mqtt.payload import dump
from nuki_bridge.owner import access, lock_config
from nuki_bridge.owner.call import Answer, Call
from nuki_bridge.owner.entry_selector import EntrySelector
from nuki_bridge.owner.user_words import limit_of
from nuki_bridge.sharing.invitation_code import grouped, link
from nuki_bridge.sharing.invitation_store import Invitation, Stage
from nuki_bridge.sharing.invitations import LIFETIME_S, Invitations
from nuki_bridge.store import UNKNOWN_NUKI_ID
from nuki_bridge.topics.topics import Publication, Request

log = logging.getLogger(__name__)


class InviteCommands:
    """The requests about `invitations`.

    `publish` tells whether the broker will get a message, `page` gives the address of the phone page, if there is one,
    and `broker` the URL with which guests without it reach the broker, if that is known.
    """

    def __init__(
        self,
        invitations: Invitations,
        publish: Callable[[Publication], bool],
        page: Callable[[], str | None],
        broker: Callable[[], str | None],
    ) -> None:
        self._invitations = invitations
        self._publish = publish
        self._page = page
        self._broker = broker

    async def create(self, call: Call) -> Answer:
        """Make an authorization on the lock, and the code with which one guest can fetch it."""
        deadline = call.lock.clock() + call.timeout_s
        limit, config = None, call.lock.config
        if config is None and ("access" in call.arguments or call.lock.paired.nuki_id == UNKNOWN_NUKI_ID):
            config = await call.lock.read_config(call.timeout_s)  # it has the Nuki ID, by which an invitation is found
        if "access" in call.arguments:
            assert config is not None
            limit = limit_of(call.arguments["access"], wall_clock.zone_of(config), call.now())
        call.owned.users.check_free(call.arguments["name"])
        code, row = await self._invitations.create(
            call.owned,
            call.arguments["name"],
            remote=call.arguments.get("remote", True),
            limit=limit,
            lifetime_s=call.arguments.get("expires_in", LIFETIME_S),
            timeout_s=deadline - call.lock.clock(),
        )
        opens = link(code, self._page())
        data = {
            "id": row.authorization_id,
            "code": grouped(code),
            "link": opens,
            "expires": _time(row.expires, wall_clock.zone_in(call.lock)),
            "user": row.user,
        }
        if broker := self._broker():
            data["broker"] = broker
        if call.arguments.get("qr"):
            data["qr"] = _drawn(opens)
        return {"data": data}

    async def list_open(self, call: Call) -> Answer:
        """Return the open invitations, without their codes."""
        return {"data": self.to_json(call.lock)}

    async def revoke(self, call: Call) -> Answer:
        """End an open invitation; what it left on the lock is removed now, or as soon as the lock can be reached."""
        opened = self._invitations.open_at(call.lock.paired.nuki_id)
        rows = {each.authorization_id: each for each in opened if each.authorization_id is not None}
        selector = EntrySelector(call.arguments, "open invitation", "unknown_invitation")
        row = rows[selector.find({number: self._invitations.name(each) for number, each in rows.items()})]
        name = self._invitations.name(row)
        removed = await self._invitations.revoke(call.owned, row, call.timeout_s)
        return {"data": {"id": row.authorization_id, "user": name, "removed_on_lock": removed}}

    def to_json(self, lock: Lock) -> list[dict[str, Any]]:
        """Return the open invitations of a lock as JSON; `id` is that of the user in the lock's list."""
        zone = wall_clock.zone_in(lock)
        return [self._shown(each, zone) for each in self._invitations.open_at(lock.paired.nuki_id)]

    def _shown(self, row: Invitation, zone: tzinfo) -> dict[str, Any]:
        """Name, remote flag and limits as the lock has them by now."""
        entry = self._invitations.entry(row)
        if entry is not None:
            limit = entry.limit if entry.time_limited else None
            row = replace(row, user=entry.name, remote=bool(entry.remote_allowed), limit=limit)
        return {
            "id": row.authorization_id,
            "user": row.user,
            "remote": row.remote,
            "access": access.to_json(row.limit, zone),
            "created": _time(row.created, zone),
            "expires": _time(row.expires, zone),
        }

    def event(self, row: Invitation, lock: Lock) -> dict[str, Any]:
        """What has become of an invitation just now, for `<lock>/event`; nothing in it is of use for redeeming it."""
        return {
            "type": "invitation",
            "invitation": "created" if row.stage is Stage.OPEN else row.stage.value,
            "user": {"id": row.authorization_id, "name": self._invitations.name(row)},
            "time": _time(row.created if row.ended is None else row.ended, wall_clock.zone_in(lock)),
        }

    def redeem(self, request: Request) -> None:
        """Answer a guest's request: with the sealed credential, or with one word why not, or not at all in a flood."""
        try:
            lookup = bytes.fromhex(request.session)
        except ValueError:
            lookup = b""
        try:
            payload = self._invitations.redeem(lookup, request.payload)
        except NukiError as error:
            if not isinstance(error, RequestError):
                log.warning("an invitation could not be redeemed: %s", error)
            payload = dump({"status": "error", "error": error.code})
        if payload is not None:
            for topic in request.reply_to:
                self._publish(Publication(topic, payload, correlation_data=request.correlation_data))


def _drawn(link: str) -> str:
    """Return the QR code of a link as SVG, black on white, which a page shows as it is."""
    import segno  # 1 MiB, and only for pages

    drawing = io.BytesIO()
    segno.make_qr(link, error="m").save(drawing, kind="svg", xmldecl=False, nl=False, omitsize=True, light="white")
    return drawing.getvalue().decode()


def _time(seconds: int, zone: tzinfo) -> str | None:
    return wall_clock.rfc3339(datetime.fromtimestamp(seconds, UTC), zone)


REQUESTS: Final[Mapping[str, Declaration[Callable[[InviteCommands, Call], Awaitable[Answer]]]]] = {
    "invite/create": Declaration(
        Arguments(
            {
                "remote": flag,
                "expires_in": duration(LIFETIME_S, "Duration").meant("default and most 48h; 30m, or seconds"),
                "access": access.check,
                "qr": flag,
            },
            required={"name": lock_config.name},
        ),
        InviteCommands.create,
    ),
    "invite/list": Declaration(Arguments(), InviteCommands.list_open, reads=True),
    "invite/revoke": Declaration(
        Arguments({"id": entry_id(0xFFFFFFFF), "name": text}, which="invitation"), InviteCommands.revoke
    ),
}
"""What can be asked of invitations."""
