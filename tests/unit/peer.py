"""A client of the virtual radio on one link, and the radio that it is on."""

from __future__ import annotations

import asyncio
from typing import Any

from nuki_bridge.bluetooth.link import Channel, Link
from nuki_bridge.protocol.codes import Action, Command, Family, IdType
from nuki_bridge.protocol.frames import Reassembler
from nuki_bridge.protocol.messages import Challenge, LockAction, RequestData
from nuki_bridge.protocol.pairing import Authorization, Pairing
from nuki_bridge.protocol.session import Session
from nuki_bridge.protocol.wire import Message
from nuki_bridge.simulator.behaviour import Behaviour, seeded
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import VirtualRadio
from tests.unit.virtual_client import ADDRESS, NUKI_ID

PIN = 123456
"""A lock has it, whichever family it is."""


def make_radio(family: Family = Family.CLASSIC, mtu: int = 247, **behaviour: Any) -> tuple[VirtualRadio, VirtualLock]:
    lock = VirtualLock(
        ADDRESS, NUKI_ID, family=family, pin=PIN, behaviour=Behaviour(**behaviour), random=seeded(1), factory_new=True
    )
    return VirtualRadio([lock], mtu=mtu), lock


class Peer:
    """A client on one link: keeps the indications, and reads the messages in them."""

    def __init__(self, radio: VirtualRadio, address: str = ADDRESS) -> None:
        self.pieces: list[tuple[Channel, bytes]] = []
        self.lost = 0
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.link: Link = radio.link(address, self._on_data, self._on_disconnect)
        self.session: Session
        self._pairing: Pairing | None = None
        self._reassemblers = {c: Reassembler(encrypted=c is Channel.USDIO) for c in Channel}

    def _on_data(self, channel: Channel, data: bytes) -> None:
        self.pieces.append((channel, data))
        reassembler = self._reassemblers[channel]
        if channel is Channel.PAIRING and self._pairing is not None:
            reassembler.encrypted = self._pairing.expects_encrypted
        for frame in reassembler.feed(data):
            if channel is Channel.PAIRING:
                self.frames.put_nowait(frame)
            else:
                self.messages.put_nowait(self.session.receive(frame))

    def _on_disconnect(self) -> None:
        self.lost += 1
        for reassembler in self._reassemblers.values():
            reassembler.clear()

    async def pair(self, app_id: int = 1) -> Authorization:
        await self.link.connect(5, pairing=True)
        assert self.link.family is not None
        self._pairing = Pairing(
            self.link.family, name="peer", id_type=IdType.BRIDGE, app_id=app_id, pin=PIN, random=seeded(app_id)
        )
        frame: bytes | None = self._pairing.start()
        while frame is not None:
            await self.link.write(Channel.PAIRING, frame)
            frame = self._pairing.receive(await asyncio.wait_for(self.frames.get(), 5))
        await self.link.disconnect()
        assert self._pairing.result is not None
        self.use(self._pairing.result, self.link.family)
        return self._pairing.result

    def use(self, authorization: Authorization, family: Family) -> None:
        number, key = authorization.authorization_id, authorization.shared_key
        self.session = Session(number, key, family, seeded(77))

    async def ask(self, message: Message) -> Message:
        await self.link.write(Channel.USDIO, self.session.send(message))
        return await self.next()

    async def next(self) -> Message:
        return await asyncio.wait_for(self.messages.get(), 5)

    async def act(self, action: Action) -> Message:
        challenge = await self.ask(RequestData(wanted=Command.CHALLENGE))
        assert isinstance(challenge, Challenge)
        return await self.ask(LockAction(action=action, app_id=0, flags=0, nonce=challenge.nonce))


async def paired_peer(radio: VirtualRadio) -> Peer:
    peer = Peer(radio)
    await peer.pair()
    await peer.link.connect(5)
    peer.pieces.clear()
    peer.lost = 0
    return peer
