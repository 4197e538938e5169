"""`nuki-bridge demo`: everything on this machine and nothing left behind.

A private mosquitto on a loopback port, the daemon with its virtual locks and the phone page in this process, a lock and
an Opener paired over MQTT like real ones, and then their states as they change.  All files are in one temporary
directory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from nuki_bridge.command_line import lock_commands
from nuki_bridge.command_line.client import BridgeClient
from nuki_bridge.config import BluetoothSettings, LockSettings, MqttSettings, Settings, WebSettings
from nuki_bridge.daemon import daemon
from nuki_bridge.errors import BrokerError, PageError
from nuki_bridge.nuki_mqtt.codes import spelled
from nuki_bridge.simulator.backend import STATE_FILE, default_locks, save_locks
from nuki_bridge.simulator.opener import VirtualOpener
from nuki_bridge.simulator.virtual_device import VirtualDevice
from nuki_bridge.web import process
from nuki_bridge.web.settings import BrokerSettings, GuestSettings
from nuki_bridge.web.settings import WebSettings as PageSettings

HOST = "127.0.0.1"
"""Address at which broker and phone page listen."""
LOCK = "front_door"
"""Name of the virtual lock."""
SHED_ID = 0x2C3D4E5F
"""Nuki ID of the second virtual lock, which stands for its name as long as it is not paired."""
OPENER = "intercom"
"""Name of the virtual Opener."""
PIN = "1234"
"""Security PIN of the virtual lock and of the virtual Opener."""
START_TIMEOUT_S = 120.0
"""Longest wait in seconds for the broker, for the daemon and for each pairing: only for what hangs, because a small
computer takes half a minute to load all of it, and nothing is answered meanwhile."""
STOP_TIMEOUT_S = 1.0
"""Seconds after which a broker that does not stop is killed."""

_PAGE = """\
The phone page: http://{host}:{port}/
  As the owner: log in as owner with the password demo (this broker lets everybody in).
  As a guest: invite somebody there, and open the link in a private window."""
_GUIDE = """\
nuki-bridge demo: broker {url}, virtual lock {lock}, virtual Opener {opener}

{page}

Paste into a second terminal:
  {program} status {lock}
  {program} unlock {lock}
  mosquitto_sub -p {port} -v -t 'nuki/#'
  mosquitto_pub -p {port} -t nuki/{lock}/set -m lock
  mosquitto_pub -p {port} -t nuki/{lock}/set -m lock_n_go
Turn it by hand (which shows within 10 s, like with a real lock), or get in its way:
  mosquitto_pub -p {port} -t nuki/{lock}/simulate -m '{{"turn": "unlocked"}}'
  mosquitto_pub -p {port} -t nuki/{lock}/simulate -m '{{"block_motor": true}}'
It is there for programs that know Nuki's own MQTT API, too; 1 is "unlock" to them:
  mosquitto_pub -p {port} -q 2 -t nuki/{nuki_id}/lockAction -m 1
The Opener at the intercom: ring the bell, have the next ring open the door, or open it at once:
  mosquitto_pub -p {port} -t nuki/{opener}/simulate -m '{{"ring": true}}'
  mosquitto_pub -p {port} -t nuki/{opener}/set -m activate_rto
  mosquitto_pub -p {port} -t nuki/{opener}/set -m open
Share the door: invite Anna, redeem her code, and open the door with what she has got then:
  {program} invite {lock} --name Anna
  {program} redeem
  {program} guest unlock
  {program} users {lock}
Pair the second virtual lock (its security PIN is 123456), and have the bridge forget it:
  {program} pair --name shed
  {program} unpair shed
To pair it once more somebody has to hold its button:
  mosquitto_pub -p {port} -t nuki/{shed}/simulate -m '{{"hold_button": true}}'

Ctrl-C ends everything; ? or help, and Enter, shows this again. What happens at lock and Opener:"""


async def run(port: int | None) -> int:
    """Run the demo until SIGINT, SIGTERM or SIGHUP; the broker listens on `port`, else on a free one.

    Returns the exit status.  Raises `BrokerError` if mosquitto is not there or does not start.
    """
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    with TemporaryDirectory(prefix="nuki-bridge-demo-") as directory:
        async with _broker(Path(directory), _free(port or 0)) as settings:
            return await _play(settings, Path(directory) / "state", interrupted)


async def _play(broker: MqttSettings, state_dir: Path, interrupted: asyncio.Event) -> int:
    stop = asyncio.Event()
    port, serving = await _serve_page(broker, stop)
    devices = _new_devices(state_dir)
    settings = Settings(
        mqtt=broker,
        bluetooth=BluetoothSettings(backend="virtual"),
        state_dir=state_dir,
        locks=(LockSettings(LOCK, devices[LOCK].address, official_api="serve"),),
        web=WebSettings(None if port is None else f"http://{HOST}:{port}"),
        log_level="warning",
    )
    running = asyncio.create_task(daemon.run(settings, stop=stop), name="daemon")
    page = await _about_page(port, serving)
    showing = asyncio.create_task(_show(broker, devices, page), name="show")
    waiting = asyncio.create_task(interrupted.wait(), name="interrupted")
    try:
        await asyncio.wait((running, showing, waiting), return_when=asyncio.FIRST_COMPLETED)
        if showing.done() and not interrupted.is_set():
            await showing  # why it ended
    finally:
        # The daemon last, so that it can still say goodbye to the broker.
        for task in (showing, waiting):
            task.cancel()
        await asyncio.wait((showing, waiting))
        stop.set()
        status = await running
        await asyncio.wait((serving,))
    return status


async def _serve_page(broker: MqttSettings, stop: asyncio.Event) -> tuple[int | None, asyncio.Task[int]]:
    """Serve the phone page until `stop`; return its port, None if it cannot be served."""
    settings = PageSettings(
        listen=(HOST,),
        port=0,
        broker=BrokerSettings(broker.host, broker.port),
        guest=GuestSettings("guest"),
        log_level="warning",
    )
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(process.run(settings, stop=stop, ready=ready), name="page")
    await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
    return ready.result() if ready.done() else None, serving


async def _about_page(port: int | None, serving: asyncio.Task[int]) -> str:
    """Return what the guide says of the page."""
    if port is not None:
        return _PAGE.format(host=HOST, port=port)
    try:
        await serving
    except PageError as error:
        return f"The phone page is not served: {error}."
    return "The phone page is not served."


def _new_devices(state_dir: Path) -> dict[str, VirtualDevice]:
    """Have the daemon find all virtual devices in pairing mode; return two of them by their names."""
    devices = default_locks(state_dir)
    for each in devices:
        each.device.factory_new = True
    state_dir.mkdir(mode=0o700)
    save_locks(state_dir / STATE_FILE, devices)
    opener = next(each for each in devices if isinstance(each, VirtualOpener))
    return {LOCK: devices[0], OPENER: opener}


async def _show(broker: MqttSettings, devices: dict[str, VirtualDevice], page: str) -> None:
    """Pair the devices, say what can be tried, and print what changes."""
    client = await _connected(broker)
    try:
        for name, each in devices.items():
            pair = {"name": name, "address": each.address, "pin": PIN}
            await client.ask("bridge", "pair", pair, START_TIMEOUT_S)
        url = f"mqtt://{broker.host}:{broker.port}/{broker.base_topic}"
        program = f"{_program()} --broker {url}"
        words = {"url": url, "lock": LOCK, "opener": OPENER, "port": broker.port, "program": program, "page": page}
        guide = _GUIDE.format(**words, nuki_id=spelled(devices[LOCK].nuki_id), shed=f"{SHED_ID:08X}")
        print(guide, flush=True)
        with _typed(lambda line: print(_reply(line, guide), flush=True)):
            await lock_commands.watch(client, argparse.Namespace(lock=None, json=False))
    finally:
        await client.close()


def _reply(line: str, guide: str) -> str:
    """Return what to say to a line that was typed into the demo."""
    if line.strip().lower() in ("?", "h", "help"):
        return guide
    return "Paste commands into a second terminal. Here ? shows them again, and Ctrl-C ends the demo."


@contextmanager
def _typed(take: Callable[[str], None]) -> Iterator[None]:
    """While in the block, give `take` each line that is typed here; an empty one counts for nothing."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = sys.stdin.fileno()
        loop.add_reader(descriptor, lambda: read())
    except (AttributeError, ValueError, OSError):  # no input at all, or one that nobody types into
        yield
        return
    rest = b""

    def read() -> None:
        nonlocal rest
        with suppress(OSError):
            # What is typed may be for another program, and to read it would stop this one.
            is_ours = not os.isatty(descriptor) or os.tcgetpgrp(descriptor) == os.getpgrp()
            if is_ours and (data := os.read(descriptor, 4096)):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    if line.strip():
                        take(line.decode(errors="replace"))
                return
        loop.remove_reader(descriptor)

    try:
        yield
    finally:
        loop.remove_reader(descriptor)


async def _connected(broker: MqttSettings) -> BridgeClient:
    """Return a conversation with the daemon, as soon as it is there; raises `BrokerError` if it does not come.

    The broker itself may seem to be silent as long as this process is busy with loading the daemon.
    """
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
    while True:
        client = BridgeClient(broker)
        try:
            await client.open()
            return client
        except BrokerError:
            await client.close()
            if asyncio.get_running_loop().time() > deadline:
                raise
        except BaseException:
            await client.close()
            raise
        await asyncio.sleep(0.1)


def _program() -> str:
    """Return how this program was started, so that a shell in any directory can do it again."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m nuki_bridge"
    on_path = shutil.which(program.name)
    if on_path is not None and os.path.samefile(on_path, program):
        return program.name
    return shlex.quote(str(program.absolute()))


# -- the broker -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _broker(directory: Path, port: int) -> AsyncIterator[MqttSettings]:
    """Run a mosquitto that serves this machine alone and keeps nothing."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise BrokerError("the demo needs mosquitto; install it with: sudo apt install mosquitto mosquitto-clients")
    configuration = directory / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} {HOST}\nallow_anonymous true\npersistence false\nlog_dest stderr\nlog_type error\n"
    )
    log = directory / "mosquitto.log"
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C in the terminal must reach the daemon first, not the broker under it.
        process = await asyncio.create_subprocess_exec(
            program,
            *("-c", str(configuration)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if not await _listens(process, port):
            reason = log.read_text(errors="replace").strip().splitlines()
            raise BrokerError(f"mosquitto does not start on port {port}: {reason[-1] if reason else 'no reason given'}")
        yield MqttSettings(host=HOST, port=port, public_url=f"mqtt://guest@{HOST}:{port}")
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _listens(process: asyncio.subprocess.Process, port: int) -> bool:
    for _ in range(int(START_TIMEOUT_S / 0.05)):
        if process.returncode is not None:
            return False
        with suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return True
        await asyncio.sleep(0.05)
    return False


def _free(port: int) -> int:
    """Return `port`, or any for 0, if nobody listens there; raises `BrokerError` otherwise."""
    try:
        with socket.create_server((HOST, port)) as server:
            free: int = server.getsockname()[1]
            return free
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise BrokerError(f"port {port} cannot be used: {reason}") from None
