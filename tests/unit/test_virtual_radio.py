"""Bluetooth in memory: what is seen, how links behave, the faults it can be told to have, and the locks' memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nuki_bridge.bluetooth.link import Channel, Link, Radio, RadioStatus
from nuki_bridge.errors import AdapterUnavailable, Disconnected, LinkError, NotFound, StoreError, TimedOut
from nuki_bridge.protocol.advertisement import Sighting
from nuki_bridge.protocol.codes import Action, Command, ErrorCode, Family, IdType, LockState, NukiState
from nuki_bridge.protocol.messages import Challenge, ErrorReport, KeyturnerStates, RequestData, Status
from nuki_bridge.protocol.opener import OpenerStates
from nuki_bridge.simulator.behaviour import seeded
from nuki_bridge.simulator.lock import VirtualLock
from nuki_bridge.simulator.radio import STATE_FILE, VirtualRadio, default_locks
from tests.unit.peer import Peer, make_radio, paired_peer
from tests.unit.virtual_client import ADDRESS, COMPLETE, FAMILIES, NUKI_ID, PLAIN_NOT_AUTHORIZED, START, STATES


@contextlib.asynccontextmanager
async def watching(radio: Radio) -> AsyncIterator[tuple[list[Sighting], list[RadioStatus]]]:
    sightings: list[Sighting] = []
    statuses: list[RadioStatus] = []
    task = asyncio.create_task(radio.run(sightings.append, statuses.append))
    try:
        yield sightings, statuses
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


# -- what is seen -----------------------------------------------------------------------------------------------------


async def test_a_lock_is_seen_once_in_an_interval() -> None:
    radio, _ = make_radio()
    async with watching(radio) as (sightings, _):
        await asyncio.sleep(9.5)
    assert len(sightings) == 10
    assert {(s.address, s.nuki_id, s.name, s.pairing, s.rssi) for s in sightings} == {
        (ADDRESS, NUKI_ID, "Nuki_1A2B3C4D", Family.CLASSIC, -58)
    }


async def test_a_change_is_seen_at_once() -> None:
    radio, lock = make_radio()
    async with watching(radio) as (sightings, _):
        await asyncio.sleep(0.5)
        assert sightings[-1].state_changed is False
        lock.turn_by_hand(LockState.UNLOCKED)
        await asyncio.sleep(0.01)
        assert sightings[-1].state_changed is True


async def test_a_lock_that_holds_a_link_is_not_seen() -> None:
    radio, _ = make_radio()
    peer = await paired_peer(radio)
    async with watching(radio) as (sightings, _):
        await asyncio.sleep(5.5)
        assert sightings == []
        await peer.link.disconnect()
        await asyncio.sleep(0.01)
        assert len(sightings) == 1
        assert sightings[0].pairing is None


async def test_newer_firmware_is_seen_beside_a_link() -> None:
    radio, _ = make_radio(advertise_while_connected=True)
    await paired_peer(radio)
    async with watching(radio) as (sightings, _):
        await asyncio.sleep(5.5)
    assert len(sightings) == 6


async def test_out_of_range_nothing_is_seen_and_links_are_lost() -> None:
    radio, lock = make_radio()
    peer = await paired_peer(radio)
    async with watching(radio) as (sightings, _):
        lock.out_of_range()
        assert not peer.link.connected
        await asyncio.sleep(5.5)
        assert sightings == []
        lock.out_of_range(False)
        await asyncio.sleep(0.01)
        assert len(sightings) == 1
    assert peer.lost == 1


# -- links ------------------------------------------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("mtu", [23, 64, 247, 517])
async def test_messages_come_in_pieces_of_the_mtu(family: Family, mtu: int) -> None:
    radio, lock = make_radio(family, mtu, motor_s=0.5)
    peer = Peer(radio)
    await peer.pair()
    await peer.link.connect(5)
    assert isinstance(await peer.act(Action.UNLOCK), Status)
    seen = [await peer.next() for _ in range(3)]
    assert [s.lock_state for s in seen if isinstance(s, KeyturnerStates)] == [LockState.UNLOCKING, LockState.UNLOCKED]
    assert seen[-1] == COMPLETE
    sizes = {len(data) for _, data in peer.pieces}
    assert max(sizes) <= mtu - 3
    if mtu == 23:
        assert max(sizes) == 20
    assert len(lock.movements()) == 1


async def test_slow_indications_keep_their_order() -> None:
    radio, _ = make_radio(mtu=23)
    peer = await paired_peer(radio)
    radio.latency_s = 0.05
    for _ in range(20):
        assert isinstance(await peer.ask(STATES), KeyturnerStates)


async def test_writes_under_way_together_arrive_in_order_and_take_the_time_of_one() -> None:
    radio, lock = make_radio()
    peer = await paired_peer(radio)
    radio.latency_s = radio.write_s = 0.1
    loop = asyncio.get_running_loop()
    frames = [peer.session.send(STATES), peer.session.send(RequestData(wanted=Command.CHALLENGE)), b"junk"]
    audit, started = len(lock.audit), loop.time()
    await asyncio.gather(*(peer.link.write(Channel.USDIO, frame) for frame in frames))
    assert loop.time() - started == pytest.approx(0.1)
    writes = [entry.detail for entry in list(lock.audit)[audit:] if entry.what == "write"]
    assert writes == [f"usdio {len(frame)} bytes" for frame in frames]
    assert isinstance(await peer.next(), KeyturnerStates)
    assert loop.time() - started == pytest.approx(0.15)
    assert isinstance(await peer.next(), Challenge)
    assert isinstance(await peer.next(), ErrorReport)


async def test_a_write_that_nobody_waits_for_any_more_arrives_all_the_same() -> None:
    radio, _ = make_radio()
    peer = await paired_peer(radio)
    radio.write_s = 0.1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(peer.link.write(Channel.USDIO, peer.session.send(STATES)), 0.01)
    assert isinstance(await peer.next(), KeyturnerStates)


async def test_a_write_under_way_when_the_link_is_lost_says_so() -> None:
    radio, lock = make_radio()
    peer = await paired_peer(radio)
    radio.write_s = 0.1
    asyncio.get_running_loop().call_later(0.02, lock.drop_links)
    with pytest.raises(Disconnected):
        await peer.link.write(Channel.USDIO, peer.session.send(STATES))
    await asyncio.sleep(1.0)
    assert peer.pieces == []


async def test_nothing_arrives_from_what_was_not_subscribed_to() -> None:
    radio, _ = make_radio()
    peer = Peer(radio)
    await peer.pair()
    await peer.link.connect(5, pairing=True)
    peer.pieces.clear()
    await peer.link.write(Channel.USDIO, peer.session.send(STATES))
    await asyncio.sleep(1)
    assert peer.pieces == []
    await peer.link.disconnect()
    await peer.link.connect(5)
    await peer.link.write(Channel.PAIRING, bytes.fromhex("0100030027A7"))
    await asyncio.sleep(1)
    assert peer.pieces == []


async def test_the_plain_error_comes_on_gdio() -> None:
    radio, lock = make_radio()
    peer = await paired_peer(radio)
    lock.remove_authorization(1)
    await peer.ask(STATES)
    assert peer.pieces == [PLAIN_NOT_AUTHORIZED[1:]]


async def test_the_plain_error_may_take_its_time() -> None:
    """Other requests are answered meanwhile: whoever asks next must not take it for theirs."""
    radio, _ = make_radio(plain_error_s=0.3)
    peer = await paired_peer(radio)
    await peer.link.write(Channel.USDIO, b"junk")
    assert isinstance(await peer.ask(STATES), KeyturnerStates)
    assert isinstance(await peer.next(), ErrorReport)


async def test_a_lock_may_ignore_what_it_cannot_read() -> None:
    radio, _ = make_radio(ignores_unreadable=True)
    peer = await paired_peer(radio)
    await peer.link.write(Channel.USDIO, b"junk")
    await asyncio.sleep(5.0)
    assert peer.pieces == []


async def test_the_family_is_known_after_connecting() -> None:
    radio, _ = make_radio(Family.ULTRA)
    peer = Peer(radio)
    assert peer.link.family is None
    assert not peer.link.connected
    await peer.link.connect(5)
    assert peer.link.connected
    assert peer.link.family is Family.ULTRA


async def test_each_connection_ends_with_one_call() -> None:
    radio, lock = make_radio(idle_timeout_s=20)
    peer = Peer(radio)
    for number, end in enumerate(("we hang up", "idle", "the lock hangs up", "the adapter goes"), 1):
        await peer.link.connect(5)
        if end == "we hang up":
            await peer.link.disconnect()
        elif end == "idle":
            await asyncio.sleep(21)
        elif end == "the lock hangs up":
            lock.drop_links()
        else:
            radio.set_adapter(False)
        await asyncio.sleep(0.01)
        assert peer.lost == number
        assert not peer.link.connected
        await peer.link.disconnect()
        await asyncio.sleep(30)
        assert peer.lost == number
        assert lock.links == 0


async def test_what_the_lock_sent_before_hanging_up_arrives() -> None:
    radio, lock = make_radio(mtu=23)
    peer = await paired_peer(radio)
    await peer.link.write(Channel.USDIO, peer.session.send(STATES))
    lock.drop_links()
    assert isinstance(await peer.next(), KeyturnerStates)
    await asyncio.sleep(0.01)
    assert peer.lost == 1


async def test_nothing_arrives_after_hanging_up() -> None:
    radio, _ = make_radio()
    peer = await paired_peer(radio)
    await peer.link.write(Channel.USDIO, peer.session.send(STATES))
    await peer.link.disconnect()
    await peer.link.connect(5)
    await asyncio.sleep(1)
    assert peer.pieces == []


async def test_a_write_without_a_link_or_with_too_much_is_refused() -> None:
    radio, lock = make_radio()
    peer = Peer(radio)
    with pytest.raises(Disconnected):
        await peer.link.write(Channel.USDIO, b"x")
    await peer.link.connect(5)
    with pytest.raises(LinkError, match="at most 512 bytes"):
        await peer.link.write(Channel.USDIO, bytes(513))
    assert [e for e in lock.audit if e.what == "write"] == []


# -- connecting -------------------------------------------------------------------------------------------------------


async def elapsed_until(error: type[LinkError], link: Link, timeout_s: float) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises(error):
        await link.connect(timeout_s)
    assert not link.connected
    return loop.time() - start


async def test_connecting_fails_as_it_does_in_the_air() -> None:
    radio, lock = make_radio()
    peer = Peer(radio)
    assert await elapsed_until(NotFound, Peer(radio, "54:D2:72:00:00:00").link, 3) == 3
    lock.out_of_range()
    assert await elapsed_until(TimedOut, peer.link, 3) == 3
    lock.out_of_range(False)
    radio.faults.connect_times_out = 2
    assert await elapsed_until(TimedOut, peer.link, 3) == 3
    assert await elapsed_until(TimedOut, peer.link, 3) == 3
    await peer.link.connect(3)
    assert await elapsed_until(TimedOut, Peer(radio).link, 3) == 3
    radio.set_adapter(False)
    assert await elapsed_until(AdapterUnavailable, peer.link, 3) == 0
    assert peer.lost == 1


async def test_a_lock_that_becomes_free_in_time_is_connected_to() -> None:
    radio, _ = make_radio()
    first, second = Peer(radio), Peer(radio)
    await first.link.connect(5)
    waiting = asyncio.create_task(second.link.connect(5))
    await asyncio.sleep(2)
    await first.link.disconnect()
    await waiting
    assert second.link.connected


async def test_a_cancelled_connect_leaves_no_link() -> None:
    radio, lock = make_radio()
    radio.connect_s = 1.0
    peer = Peer(radio)
    task = asyncio.create_task(peer.link.connect(5))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.sleep(5)
    assert lock.links == 0
    assert not peer.link.connected


# -- faults -----------------------------------------------------------------------------------------------------------


async def test_the_nth_indication_is_lost() -> None:
    radio, _ = make_radio(mtu=23)
    peer = await paired_peer(radio)
    radio.faults.lose_indication = 2
    await peer.link.write(Channel.USDIO, peer.session.send(STATES))
    await asyncio.sleep(1)
    assert peer.messages.empty()
    assert len(peer.pieces) == 3  # 75 bytes come in four pieces
    peer._on_disconnect()  # what is unfinished is dropped
    assert isinstance(await peer.ask(STATES), KeyturnerStates)


@pytest.mark.parametrize(
    ("fault", "error", "moved", "connected"),
    [
        ("disconnect_before_write", Disconnected, 0, False),
        ("disconnect_after_write", Disconnected, 1, False),
        ("write_fails_after_delivery", TimedOut, 1, True),
    ],
)
async def test_a_write_may_fail_before_or_after_it_was_delivered(
    fault: str, error: type[LinkError], moved: int, connected: bool
) -> None:
    radio, lock = make_radio()
    peer = await paired_peer(radio)
    setattr(radio.faults, fault, 2)  # the challenge passes
    with pytest.raises(error):
        await peer.act(Action.UNLOCK)
    assert peer.link.connected is connected
    assert len(lock.movements()) == moved
    await asyncio.sleep(5)
    assert lock.motor.state is (LockState.UNLOCKED if moved else LockState.LOCKED)
    assert peer.lost == (not connected)


async def test_on_a_half_open_link_writes_are_never_answered() -> None:
    radio, lock = make_radio()
    peer = await paired_peer(radio)
    radio.half_open(ADDRESS)
    assert peer.link.connected
    assert lock.links == 0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(peer.link.write(Channel.USDIO, peer.session.send(STATES)), 30)
    writing = asyncio.create_task(peer.link.write(Channel.USDIO, peer.session.send(STATES)))
    await asyncio.sleep(1)
    await peer.link.disconnect()
    with pytest.raises(Disconnected):
        await writing
    await peer.link.connect(5)
    assert isinstance(await peer.ask(STATES), KeyturnerStates)


async def test_an_adapter_that_goes_and_comes_is_told_once_each() -> None:
    radio, _ = make_radio()
    peer = await paired_peer(radio)
    async with watching(radio) as (sightings, statuses):
        await asyncio.sleep(0.1)
        for available in (False, False, True, True):
            radio.set_adapter(available, "unplugged")
            assert not peer.link.connected
            await asyncio.sleep(2)
            assert bool(sightings) is available
        assert radio.status == RadioStatus(True, "virtual0")
    assert statuses == [
        RadioStatus(True, "virtual0"),
        RadioStatus(False, None, "unplugged"),
        RadioStatus(True, "virtual0"),
    ]


# -- memory -----------------------------------------------------------------------------------------------------------


async def test_the_default_locks_pair_once_and_remember_it(tmp_path: Path) -> None:
    path = tmp_path / STATE_FILE
    authorizations = {}
    radio = VirtualRadio(default_locks(tmp_path), state_file=path)
    assert [(lock.name, lock.family, lock.address) for lock in radio.locks] == [
        ("Nuki_1A2B3C4D", Family.CLASSIC, "54:D2:72:2B:3C:4D"),
        ("Nuki_2C3D4E5F", Family.ULTRA, "54:D2:72:3D:4E:5F"),
        ("Nuki_Opener_3E4F5061", Family.OPENER, "54:D2:72:4F:50:61"),
    ]
    for lock in radio.locks:
        if lock.family is Family.OPENER:
            lock.hold_button()
        assert lock.pairing_mode
        authorizations[lock.address] = await Peer(radio, lock.address).pair()
        if isinstance(lock, VirtualLock):
            lock.turn_by_hand(LockState.UNLOCKED)
        else:
            lock.control({"continuous_mode": True})
    await asyncio.sleep(0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [STATE_FILE]

    again = VirtualRadio(default_locks(tmp_path), state_file=path)
    for lock in again.locks:
        assert not lock.pairing_mode
        peer = Peer(again, lock.address)
        peer.use(authorizations[lock.address], lock.family)
        await peer.link.connect(5)
        states = await peer.ask(STATES)
        if lock.family is Family.OPENER:
            assert isinstance(states, OpenerStates)
            assert states.nuki_state == NukiState.CONTINUOUS_MODE
        else:
            assert isinstance(states, KeyturnerStates)
            assert states.lock_state == LockState.UNLOCKED
        lock.hold_button()
        assert lock.pairing_mode


async def test_default_locks_have_a_secret_of_their_own(tmp_path: Path) -> None:
    keys = [lock.to_dict()["secret_key"] for _ in range(2) for lock in default_locks(tmp_path)]
    assert len(set(keys)) == 6


@pytest.mark.parametrize("text", ["", "{", "[]", '{"locks": [{}]}', '{"locks": 3}', '{"locks": ["x"]}', "\xff\xfe"])
def test_a_spoiled_memory_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / STATE_FILE
    path.write_text(text, encoding="latin-1")
    with pytest.raises(StoreError, match=f"{path}.*delete the file"):
        default_locks(tmp_path)
    assert path.read_text(encoding="latin-1") == text


async def test_a_directory_that_is_gone_is_an_error_of_the_store(tmp_path: Path) -> None:
    radio = VirtualRadio(default_locks(tmp_path), state_file=tmp_path / "gone" / STATE_FILE)
    with pytest.raises(StoreError, match="cannot be written: No such file"):
        radio.save()


async def test_a_bunch_of_changes_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    radio = VirtualRadio(default_locks(tmp_path), state_file=tmp_path / STATE_FILE)
    saves: list[int] = []
    save = radio.save

    def counted() -> None:
        saves.append(1)
        save()

    monkeypatch.setattr(radio, "save", counted)
    for percent in range(50):
        radio.locks[0].set_battery(percent)
    await asyncio.sleep(0.01)
    assert len(saves) == 1
    data = json.loads((tmp_path / STATE_FILE).read_text())
    assert data["locks"][0]["battery_percent"] == 49


# -- control ----------------------------------------------------------------------------------------------------------


def test_a_control_names_its_lock(tmp_path: Path) -> None:
    radio = VirtualRadio(default_locks(tmp_path))
    for name in ("Nuki_2C3D4E5F", "2c3d4e5f", "54:d2:72:3d:4e:5f"):
        assert radio.control({"lock": name, "battery": 40})["nuki_id"] == "2C3D4E5F"
    for command, sentence in (
        ({"battery": 40}, "name the lock; there are: Nuki_1A2B3C4D, Nuki_2C3D4E5F, Nuki_Opener_3E4F5061"),
        (
            {"lock": "front", "battery": 40},
            "no virtual lock 'front'; there are: Nuki_1A2B3C4D, Nuki_2C3D4E5F, ",
        ),
        ({"lock": 7}, "is the name of a virtual lock"),
    ):
        with pytest.raises(ValueError, match=sentence):
            radio.control(command)


def test_the_only_lock_needs_no_name() -> None:
    radio, _ = make_radio()
    assert radio.control({"status": True})["name"] == "Nuki_1A2B3C4D"


async def test_the_lock_lives_by_the_clock_it_is_given() -> None:
    lock = VirtualLock(ADDRESS, NUKI_ID, random=seeded(1))
    VirtualRadio([lock], clock=lambda: START)
    lock.add_user(bytes(32), IdType.APP, 0, "x", full=ErrorCode.MAX_USER)
    assert next(iter(lock.authorizations)).created == START
