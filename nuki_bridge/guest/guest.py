"""The invited person's side: redeem a code, keep the credential, act on the lock over the relay or by Bluetooth.

All that a guest's broker account may do is in etc/mosquitto/nuki-bridge.acl.  The file is `credential_file.py`'s, MQTT
in place of Bluetooth is `relay_link.py`'s.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from nuki_bridge.errors import BadFrame, LockError, NukiError, RequestError, TimedOut
from nuki_bridge.guest.credential_file import (
    Credential,
    directory,
    make_directory,
    read_credential,
    sync_directory,
    translated_errors,
    write_new,
)
from nuki_bridge.guest.relay_link import UNREADABLE, GuestConnection, RelayRadio, read_error
from nuki_bridge.lock.link_plan import ConnectionMode
from nuki_bridge.lock.lock import Lock
from nuki_bridge.mqtt import mqtt
from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE
from nuki_bridge.sharing.invitation_code import key, lookup, seal, unseal

if TYPE_CHECKING:
    from nuki_bridge.bluetooth.link import Radio
    from nuki_bridge.config import MqttSettings
    from nuki_bridge.protocol.common import States

SEND_TIMEOUT_S = 15.0
"""Seconds until the lock must have an action: over the relay the bridge may first have to find the lock."""
RELAY_REPLY_TIMEOUT_S = 16.0
"""Seconds to wait for one answer over the relay: the 15 s that the bridge may keep a frame, and the way back."""
ANEW_S = 5.0
"""Seconds within which an action may be begun again: nobody has undone by then what the first attempt may have done."""
BLUETOOTH_TIMEOUT_S = 5.0
"""Seconds that the adapter may take to show up."""
ASK_AGAIN_S = 5.0
ASK_TIMES = 6
"""Seconds between requests for an invitation's credential while no answer comes, and how many there are."""
REFUSAL_S = 0.5
"""Seconds without a sealed answer after which a refusal in clear, which others could have made up, is believed."""
NOTE_KEPT_S = 8 * 24 * 3600.0
"""Seconds for which a client number without a credential is kept: one day more than the bridge remembers the
invitation."""

SENTENCES: Mapping[str, str] = {
    "not_authorized": "this credential is not valid any more: the owner has removed it, or the lock was reset; ask for "
    "a new invitation",
    "disabled": "the owner has disabled this credential",
    "remote_not_allowed": "this credential works only near the door; use --bluetooth there",
    "time_not_allowed": "this credential is not allowed at this time",
    "challenge_expired": "the bridge, or its link to the lock, began anew just now, and nothing was passed on; try "
    "again",
    "pending": "the bridge takes this invitation for open still; redeem it again",
    "pin_required": "the bridge does not know the lock's PIN, without which it lets no guest in; tell the owner",
    "bad_pin": "the bridge has a wrong PIN of the lock, without the right one it lets no guest in; tell the owner",
    "unknown_lock": "the bridge has no lock of this name any more; tell the owner",
    "not_paired": "the bridge has lost this lock; tell the owner",
    "expired": "this invitation has expired; ask for a new one",
    "redeemed": "this invitation has been redeemed already, on another device or more than 10 minutes ago; if that was "
    "not you, tell the owner at once",
    "revoked": "the owner has taken this invitation back",
    "unknown": "the bridge does not know this code: it is mistyped, or ended more than a week ago",
}
"""Sentences for a guest in place of those that the bridge or the lock has for its owner."""

T = TypeVar("T")


def for_guest(error: NukiError) -> NukiError:
    """Return the error in words for a guest."""
    sentence = SENTENCES.get(error.code)
    return error if sentence is None else RequestError(error.code, sentence)


# -- redeeming --------------------------------------------------------------------------------------------------------


class Redemption:
    """The redeeming of one code (16 characters), by one client number that outlives this process.

    The bridge gives the credential to that client alone and, should its answer get lost, again for ten minutes.
    """

    def __init__(self, code: str) -> None:
        self._lookup = lookup(code)
        self._key = key(code)
        self._note = directory() / f".redeem-{self._lookup}"
        self._client = ""
        self._answer: asyncio.Future[Credential] | None = None

    def client(self) -> str:
        """Return the client number, noted before it is used; raises `RequestError` if that is not possible."""
        with translated_errors(self._note):
            make_directory(self._note.parent)
            self._forget_old_notes()
            with suppress(FileExistsError):
                write_new(self._note, secrets.token_hex(16))
                sync_directory(self._note.parent)
            client = self._note.read_text()
        if not re.fullmatch(r"[0-9a-f]{32}", client):
            raise RequestError("bad_credential", f"{self._note} is damaged; remove it")
        return client

    def done(self) -> None:
        """Forget the client number: the credential is stored."""
        with suppress(OSError):
            self._note.unlink()

    def _forget_old_notes(self) -> None:
        for note in self._note.parent.glob(".redeem-*"):
            with suppress(OSError):
                if time.time() - note.stat().st_mtime > NOTE_KEPT_S:
                    note.unlink()

    async def ask(self, connection: GuestConnection, base: str) -> Credential:
        """Ask the bridge for the credential until it answers.

        Raises `RequestError` with the bridge's reason, `TimedOut` without an answer, or what ended `connection`.
        """
        client = self._client = self.client()
        self._answer = asyncio.get_running_loop().create_future()
        topic = f"{base}/invitation/{self._lookup}"
        connection.read(f"{topic}/response", self._answered)
        for _ in range(ASK_TIMES):
            request = {"client": client, "time": datetime.now(UTC).isoformat(timespec="seconds")}
            sealed = seal(self._key, json.dumps(request).encode(), secrets.token_bytes(BOX_NONCE_SIZE))
            connection.publish(f"{topic}/redeem", sealed, expiry_s=int(ASK_AGAIN_S))
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN_S):
                    return await connection.unless_over(asyncio.shield(self._answer))
        raise TimedOut(
            f"no answer within {ASK_TIMES * ASK_AGAIN_S:g} s: the bridge is not running, or the base topic is not "
            f"{base!r}; try again, the code is still good"
        )

    def _answered(self, payload: bytes) -> None:
        assert self._answer is not None
        if self._answer.done():
            return
        try:
            told = json.loads(unseal(self._key, payload))
            if isinstance(told, dict) and told.pop("client", self._client) != self._client:
                return  # somebody else has the code, too, and was first
            self._answer.set_result(read_credential(told))
        except BadFrame:
            error = for_guest(read_error(payload))
            if error.code != UNREADABLE:  # noise may come from anybody
                asyncio.get_running_loop().call_later(REFUSAL_S, self._refused, error)
        except (RequestError, ValueError, RecursionError):
            self._answer.set_exception(
                RequestError("bad_credential", "the bridge sent a credential that this version cannot use")
            )

    def _refused(self, error: NukiError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


# -- acting -----------------------------------------------------------------------------------------------------------


async def over_relay(
    settings: MqttSettings,
    credential: Credential,
    work: Callable[[Lock], Awaitable[T]],
    on_states: Callable[[States], None],
    *,
    twice: bool = False,
) -> T:
    """Do something with the lock through the bridge; raises as `work`, `BrokerError`, or a refusal.

    With `twice` it is done anew, once, if the bridge says within `ANEW_S` that nothing was passed on, because the
    lock's challenge is not of its present link.  That word is not the lock's: only for what then moves nothing twice.
    """
    started = mqtt.boottime()
    try:
        return await _over_relay(settings, credential, work, on_states)
    except RequestError as error:
        if error.code != "challenge_expired" or not twice or mqtt.boottime() - started > ANEW_S:
            raise
    return await _over_relay(settings, credential, work, on_states)


async def _over_relay(
    settings: MqttSettings,
    credential: Credential,
    work: Callable[[Lock], Awaitable[T]],
    on_states: Callable[[States], None],
) -> T:
    connection = GuestConnection(settings)
    radio = RelayRadio(connection, f"{credential.base_topic}/{credential.name}")
    try:
        await connection.open()
        lock = _lock(credential, radio, on_states)
        lock.exchange.reply_timeout_s = RELAY_REPLY_TIMEOUT_S
        return await connection.unless_over(_work(lock, work))
    except TimedOut:
        if radio.answered:
            raise
        raise TimedOut(
            "nothing answered: the bridge is not running, or does not listen below this base topic"
        ) from None
    except (LockError, RequestError) as error:
        raise for_guest(error) from None
    finally:
        await connection.close()


async def over_radio(
    radio: Radio,
    credential: Credential,
    work: Callable[[Lock], Awaitable[T]],
    on_states: Callable[[States], None],
) -> T:
    """Do something with the lock directly; raises what `work` raises."""
    lock = _lock(credential, radio, on_states)
    ready = asyncio.Event()

    def changed(_: object) -> None:
        ready.set()

    running = asyncio.create_task(radio.run(lock.sighted, changed), name="radio")
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(BLUETOOTH_TIMEOUT_S):
                await ready.wait()
        return await _work(lock, work)
    except LockError as error:
        raise for_guest(error) from None
    finally:
        running.cancel()
        await asyncio.wait((running,))


async def _work(lock: Lock, work: Callable[[Lock], Awaitable[T]]) -> T:
    try:
        return await work(lock)
    finally:
        await lock.exchange.drop()


def _lock(credential: Credential, radio: Radio, on_states: Callable[[States], None]) -> Lock:
    return Lock(
        credential.paired(),
        radio,
        connection=ConnectionMode.ON_DEMAND,
        random=secrets.token_bytes,
        clock=mqtt.boottime,
        now=lambda: datetime.now(UTC),
        on_states=lambda _lock, _before, states: on_states(states),
        on_change=lambda _lock: None,
    )
