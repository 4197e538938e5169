"""The guest's end of the relay: what a refusal means for the frame that the bridge refuses, and for those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nuki_bridge.bluetooth.link import Channel, Link
from nuki_bridge.errors import NukiError
from nuki_bridge.guest.relay_link import RelayRadio
from nuki_bridge.protocol.codes import Action, Command, Family
from nuki_bridge.protocol.messages import LockAction, RequestData
from nuki_bridge.protocol.session import Session
from nuki_bridge.simulator.behaviour import seeded

REFUSAL = b'{"status":"error","error":"timeout","message":"the lock could not be reached"}'
LOST = b'{"status":"error","error":"disconnected","message":"the link to the lock was lost"}'


class Conversation:
    """In place of a connection to the broker: keeps what ended it."""

    def __init__(self) -> None:
        self.readers: dict[str, Callable[[bytes], None]] = {}
        self.ended_by: NukiError | None = None

    def read(self, topic: str, reader: Callable[[bytes], None]) -> None:
        self.readers[topic.rpartition("/")[2]] = reader

    def leave(self, topic: str) -> None:
        self.readers.pop(topic.rpartition("/")[2])

    def publish(self, topic: str, payload: bytes, *, expiry_s: int) -> bool:
        return True

    def end(self, error: NukiError) -> None:
        self.ended_by = error


async def linked() -> tuple[Conversation, Link]:
    broker: Any = Conversation()
    link = RelayRadio(broker, "nuki/front").link("", lambda channel, data: None, lambda: None)
    await link.connect(5.0)
    return broker, link


def frame(message: Any) -> bytes:
    return Session(7, bytes(32), Family.CLASSIC, seeded(1)).send(message)


QUESTION = frame(RequestData(wanted=Command.KEYTURNER_STATES))
COMMANDS = [
    frame(LockAction(action=Action.UNLATCH, app_id=7, flags=0, name_suffix=suffix, nonce=bytes(32)))
    for suffix in (None, "Anna")
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_refused_command_was_not_carried_out(command: bytes) -> None:
    broker, link = await linked()
    await link.write(Channel.USDIO, QUESTION)
    broker.readers["indicate"](b"a challenge")
    await link.write(Channel.USDIO, command)
    broker.readers["error"](REFUSAL)
    assert broker.ended_by is not None
    assert broker.ended_by.code == "timeout"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("said", [True, False])
async def test_a_refused_question_says_nothing_of_the_command_before_it(command: bytes, said: bool) -> None:
    broker, link = await linked()
    await link.write(Channel.USDIO, command)
    if said:
        broker.readers["indicate"](b"accepted")
    else:
        broker.readers["error"](LOST)
        await link.connect(5.0)
    await link.write(Channel.USDIO, QUESTION)
    broker.readers["error"](REFUSAL)
    assert broker.ended_by is not None
    assert broker.ended_by.code == "outcome_unknown"
    assert "the lock could not be reached" in str(broker.ended_by)
