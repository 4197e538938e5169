"""Bluetooth in memory: what happens to indications, writes and links when that was ordered."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from nuki_bridge.bluetooth.link import Channel
from nuki_bridge.errors import TimedOut
from nuki_bridge.protocol.messages import KeyturnerStates
from nuki_bridge.simulator.faults import Faults
from tests.unit.peer import Peer, make_radio, paired_peer
from tests.unit.rig import clock
from tests.unit.virtual_client import ADDRESS, STATES


@pytest.mark.parametrize(
    ("fault", "arrives"),
    [
        ({}, [b"abcd"]),
        ({"lose_indication": 1}, []),
        ({"cut_indication": 1}, [b"ab"]),
        ({"flip_indication": 1, "flip_bit": 8}, [b"accd"]),
        ({"flip_indication": 1, "flip_bit": 40}, [b"accd"]),
        ({"double_indication": 1}, [b"abcd", b"abcd"]),
        ({"double_indication": 1, "cut_indication": 1}, [b"ab", b"ab"]),
        ({"lose_indication": 1, "double_indication": 1}, []),
    ],
)
def test_what_arrives_of_an_indication(fault: dict[str, Any], arrives: list[bytes]) -> None:
    assert Faults(**fault).spoil(b"abcd") == arrives


def test_each_fault_waits_for_its_own_turn() -> None:
    faults = Faults(lose_indication=2, cut_indication=3)
    assert [faults.spoil(b"abcd") for _ in range(4)] == [[b"abcd"], [], [b"ab"], [b"abcd"]]


async def ask_for_pieces(peer: Peer) -> None:
    await peer.link.write(Channel.USDIO, peer.session.send(STATES))
    await asyncio.sleep(0.1)


async def test_a_late_indication_is_not_overtaken() -> None:
    radio, _ = make_radio(mtu=23)
    peer = await paired_peer(radio)
    radio.faults.delay_indication, radio.faults.delay_s = 2, 4.0
    start = clock()
    await ask_for_pieces(peer)
    assert len(peer.pieces) == 1
    assert isinstance(await peer.messages.get(), KeyturnerStates)
    assert clock() - start == pytest.approx(4.0)
    assert len(peer.pieces) == 4


async def test_what_was_late_on_a_lost_link_never_arrives() -> None:
    radio, _ = make_radio()
    peer = await paired_peer(radio)
    radio.faults.delay_indication, radio.faults.delay_s = 1, 4.0
    await ask_for_pieces(peer)
    await peer.link.disconnect()
    await peer.link.connect(5)
    await asyncio.sleep(10)
    assert peer.pieces == []


async def test_the_link_is_lost_before_the_nth_indication() -> None:
    radio, lock = make_radio(mtu=23)
    peer = await paired_peer(radio)
    radio.faults.disconnect_at_indication = 3
    await ask_for_pieces(peer)
    assert len(peer.pieces) == 2
    assert (peer.lost, lock.links) == (1, 0)


async def test_a_delayed_write_arrives_late() -> None:
    radio, _ = make_radio()
    peer = await paired_peer(radio)
    radio.faults.delay_write, radio.faults.delay_s = 1, 3.0
    start = clock()
    assert isinstance(await peer.ask(STATES), KeyturnerStates)
    assert clock() - start == pytest.approx(3.0)


async def test_a_half_open_link_is_noticed_in_time() -> None:
    radio, _ = make_radio()
    peer = await paired_peer(radio)
    radio.half_open(ADDRESS, notice_s=6.0)
    await asyncio.sleep(5.9)
    assert peer.link.connected
    await asyncio.sleep(0.2)
    assert not peer.link.connected
    await peer.link.connect(5)
    radio.half_open(ADDRESS, notice_s=6.0)
    await peer.link.disconnect()
    await peer.link.connect(5)
    await asyncio.sleep(10)
    assert peer.link.connected, "the next link is another one"


async def test_an_orphaned_link_keeps_the_lock_to_itself_until_it_is_idle() -> None:
    radio, lock = make_radio(idle_timeout_s=20)
    peer = await paired_peer(radio)
    radio.orphan(ADDRESS)
    assert (peer.link.connected, peer.lost, lock.links) == (False, 1, 1)
    with pytest.raises(TimedOut):
        await peer.link.connect(8)
    await asyncio.sleep(13)
    assert lock.links == 0
    await peer.link.connect(8)
    assert isinstance(await peer.ask(STATES), KeyturnerStates)


async def test_a_write_that_is_given_up_leaves_no_error_behind() -> None:
    """Whoever cancels it as the link is lost asks for no answer: nothing is there that somebody should have taken."""
    radio, _ = make_radio()
    peer = await paired_peer(radio)
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context["message"]))
    writing = asyncio.create_task(peer.link.write(Channel.USDIO, peer.session.send(STATES)))
    await asyncio.sleep(0)
    writing.cancel()
    await peer.link.disconnect()
    await asyncio.wait((writing,))
    assert writing.cancelled()
    del writing
    gc.collect()
    assert complaints == []
