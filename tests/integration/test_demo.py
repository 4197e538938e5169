"""The demo, as somebody starts it: real mosquitto, the true daemon, a virtual lock, and the commands to paste."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests import patience
from tests.integration.broker import free_port
from tests.integration.command import said

pytestmark = pytest.mark.real_time

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class Demo:
    """A running `nuki-bridge demo` with its own temporary directory."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.guide: list[str] = []

    @property
    def url(self) -> str:
        """The broker's, as the first line tells it."""
        found = re.fullmatch(
            r"nuki-bridge demo: broker (mqtt://127\.0\.0\.1:\d+/nuki), virtual lock front_door, "
            r"virtual Opener intercom",
            self.guide[0],
        )
        assert found, self.guide[0]
        return found[1]

    @property
    def port(self) -> int:
        """The broker's."""
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def command(self, ending: str) -> str:
        """The line of the guide that ends so."""
        (line,) = (line for line in self.guide if line.startswith("  ") and line.endswith(ending))
        return line.strip()

    async def until(self, pattern: str, timeout_s: float = patience.HANG_S) -> str:
        """Read lines until one matches."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout_s):
            while line := (await self.process.stdout.readline()).decode():
                if re.search(pattern, line.rstrip("\n")):
                    return line.rstrip("\n")
        raise AssertionError(f"the demo ended before it said {pattern}")

    async def until_all(self, *patterns: str) -> None:
        """Read lines until each pattern has matched one, in any order."""
        left = set(patterns)
        while left:
            line = await self.until("|".join(left))
            left -= {pattern for pattern in left if re.search(pattern, line)}

    async def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, float]:
        """Exit status, what stood on stderr, and how long it took."""
        began = patience.now()
        self.process.send_signal(number)
        async with asyncio.timeout(patience.HANG_S):
            _, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, err.decode(), patience.now() - began


@asynccontextmanager
async def demo(directory: Path, *arguments: str) -> AsyncIterator[Demo]:
    """Start the demo and read its guide."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuki_bridge", "demo", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(directory)},
    )
    try:
        yield Demo(process, directory)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()  # killed it would leave its broker behind
        async with asyncio.timeout(patience.HANG_S):
            await process.communicate()


async def started(running: Demo) -> None:
    """Read the guide to its end."""
    assert running.process.stdout is not None
    async with asyncio.timeout(patience.HANG_S):
        while not running.guide or not running.guide[-1].startswith("Ctrl-C"):
            line = (await running.process.stdout.readline()).decode()
            assert line, (await running.process.communicate())[1].decode()
            running.guide.append(line.rstrip("\n"))


async def shell(command: str) -> tuple[int, str, str]:
    """Paste a command into a shell in some other directory; its status, and what it has said on both outputs."""
    process = await asyncio.create_subprocess_shell(
        command, cwd="/", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(patience.HANG_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), said(err.decode())


def files_in(directory: Path, pattern: str = "*") -> list[Path]:
    """What is there."""
    return list(directory.glob(pattern))


def processes_with(text: str) -> list[str]:
    """Command lines of running processes that contain `text`."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in line:
                found.append(line)
    return found


@pytest.mark.slow
async def test_what_the_guide_says_works_as_it_stands(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await started(running)
        await running.until("front_door  is locked")

        status, out, err = await shell(running.command(" status front_door"))
        assert (status, err) == (0, "")
        assert re.search(r"^state: +locked$", out, re.MULTILINE)

        status, out, _ = await shell(running.command("unlock front_door"))
        assert (status, out) == (0, "front_door: unlock: success\n")
        await running.until("front_door  is unlocking")
        await running.until("front_door  is unlocked")

        assert (await shell(running.command("set -m lock")))[0] == 0
        await running.until("front_door  is locked")

        assert (await shell(running.command("""-m '{"turn": "unlocked"}'""")))[0] == 0
        await running.until("front_door  is unlocked")

        assert (await shell(running.command("""-m '{"block_motor": true}'""")))[0] == 0
        status, out, err = await shell(running.command("unlock front_door").replace("unlock", "lock"))
        assert status == 1
        assert err.endswith("(motor_blocked)\n")


async def test_the_bell_rings_and_the_opener_opens_as_the_guide_says(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await started(running)
        await running.until("intercom  is locked")
        # What rang before the Opener's log was read for the first time is not told.
        told = asyncio.create_task(running.until("intercom  the doorbell rang"))
        while not told.done():
            assert (await shell(running.command("""-m '{"ring": true}'""")))[0] == 0
            await asyncio.wait([told], timeout=5)
        assert "opened" not in await told
        assert (await shell(running.command("set -m activate_rto")))[0] == 0
        await running.until("intercom  ring to open is active")
        assert (await shell(running.command("""-m '{"ring": true}'""")))[0] == 0
        # the state and the log, in which the ring is, are read one after the other, whichever is first
        await running.until_all("intercom  is opening", r"intercom  the doorbell rang, and the door was opened \(rto\)")
        await running.until("intercom  ring to open is active")
        assert (await shell(running.command("set -m open")))[0] == 0
        await running.until(r"intercom  .+ opened \((bridge|system)\): success")


async def test_the_page_is_served_and_invitations_link_to_it(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await started(running)
        [address] = [found[1] for line in running.guide if (found := re.search(r"phone page: (http://\S+)", line))]
        status, out, _ = await shell(running.command("invite front_door --name Anna"))
        assert status == 0
        link = re.search(r"^ +(http://\S+)$", out, re.MULTILINE)
        assert link
        assert link[1].startswith(f"{address}#code=")
        where = re.search(r"http://127\.0\.0\.1:(\d+)/", address)
        assert where
        reader, writer = await asyncio.open_connection("127.0.0.1", int(where[1]))
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert b"app.js" in await reader.read()
        writer.close()


async def test_the_door_is_shared_as_the_guide_says(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await started(running)
        await running.until("front_door  is locked")
        status, out, err = await shell(running.command("invite front_door --name Anna"))
        assert (status, err) == (0, "")
        found = re.search(r"for a code, it is (\S+)", out)
        assert found, out
        guest = f"export XDG_CONFIG_HOME={shlex.quote(str(tmp_path / 'anna'))};"
        status, out, err = await shell(f"{guest} echo {found[1]} | {running.command('redeem')}")
        assert (status, err) == (0, "")
        assert "Anna can use this lock now" in out
        status, out, _ = await shell(f"{guest} {running.command('guest unlock')}")
        assert (status, out) == (0, "front_door: unlock: success\n")
        await running.until("front_door  is unlocked")
        status, out, _ = await shell(running.command("users front_door"))
        assert status == 0
        assert re.search(r"^\d+ +Anna +app +yes +yes .* no +no$", out, re.MULTILINE), out


@pytest.mark.slow
async def test_commands_against_the_true_daemon(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await started(running)
        client = f"{shlex.quote(sys.executable)} -m nuki_bridge --broker {running.url}"

        status, out, _ = await shell(f"{client} --json locks")
        assert status == 0
        assert [lock["name"] for lock in json.loads(out)] == ["front_door", "intercom"]

        status, out, _ = await shell(f"{client} --json refresh front_door")
        assert json.loads(out)["state"] == "locked"
        assert (await shell(f"{client} battery front_door"))[0] == 0
        assert (await shell(f"{client} --json health"))[0] == 0
        assert (await shell(f"{client} --json lock-n-go nowhere"))[0] == 1

        status, out, err = await shell(f"{client} --json scan --timeout 2")
        assert status == 0
        assert {found["pairing_mode"] for found in json.loads(out)} == {True, False}

        status, _, err = await shell(f"{client} pair --name shed </dev/null")
        assert (status, err.endswith("(pin_required)\n")) == (1, True)
        status, out, _ = await shell(f"echo 123456 | {client} --json pair --name shed --pin-file -")
        assert (status, json.loads(out)["name"]) == (0, "shed")
        assert (await shell(f"{client} unlock"))[0] == 2
        assert (await shell(f"{client} unlock shed"))[0] == 0
        assert (await shell(f"{client} unpair shed"))[0] == 0
        status, out, _ = await shell(f"{client} status")
        assert (status, "shed" in out) == (0, False)


async def test_the_second_lock_is_paired_again_as_the_guide_says(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await started(running)
        pair = f"echo 123456 | {running.command(' pair --name shed')} --pin-file -"
        for _ in range(2):
            status, out, err = await shell(pair)
            assert (status, "shed is paired" in out) == (0, True), err
            assert (await shell(running.command("unpair shed")))[0] == 0
            status, _, err = await shell(f"{pair} --timeout 2")
            assert (status, "pairing mode" in err) == (1, True), "without its button it is not to be had"
            assert (await shell(running.command("""-m '{"hold_button": true}'""")))[0] == 0


async def test_a_question_mark_shows_the_guide_again(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        await started(running)
        assert running.process.stdin is not None
        assert running.process.stdout is not None
        for typed in (b"?\n", b"\nHelp\n"):
            running.process.stdin.write(typed)
            again = [await running.until("^nuki-bridge demo: broker")]
            async with asyncio.timeout(patience.HANG_S):
                while not again[-1].startswith("Ctrl-C"):
                    again.append((await running.process.stdout.readline()).decode().rstrip("\n"))
            # what happens meanwhile may stand in between
            assert [line for line in again if line in running.guide] == running.guide
        running.process.stdin.write(b"unlock\n")
        assert "second terminal" in await running.until("^Paste")
        running.process.stdin.close()
        assert (await shell(running.command("unlock front_door")))[0] == 0
        await running.until("front_door  is unlocked")


async def test_the_letter_works_as_it_was_pasted(tmp_path: Path) -> None:
    """Whoever is invited may paste the whole line with the link where a code is asked for."""
    async with demo(tmp_path) as running:
        await started(running)
        await running.until("front_door  is locked")
        status, out, _ = await shell(running.command("invite front_door --name Anna"))
        assert status == 0
        assert not re.search("HOST|PASSWORD", out)
        link = re.search(r"^ +(http://\S+)$", out, re.MULTILINE)
        assert link
        guest = f"export XDG_CONFIG_HOME={shlex.quote(str(tmp_path / 'anna'))};"
        status, out, err = await shell(f"{guest} echo '  {link[1]} ' | {running.command('redeem')}")
        assert (status, err) == (0, ""), err
        status, out, _ = await shell(f"{guest} {running.command('guest unlock')}")
        assert (status, out) == (0, "front_door: unlock: success\n")


@pytest.mark.parametrize("number", SIGNALS)
async def test_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    async with demo(tmp_path) as running:
        await started(running)
        assert processes_with(str(tmp_path)) != []
        status, err, seconds = await running.stop(number)
        assert (status, err) == (0, "")
        assert seconds < 3
        assert files_in(tmp_path) == []
        assert processes_with(str(tmp_path)) == []
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port), 1).close()


async def test_an_interrupt_during_the_start_leaves_nothing_either(tmp_path: Path) -> None:
    async with demo(tmp_path) as running:
        async with asyncio.timeout(patience.HANG_S):
            while not files_in(tmp_path, "*/mosquitto.log"):
                await asyncio.sleep(0.01)
        status, err, seconds = await running.stop()
        assert (status, "Traceback" in err) == (0, False)
        assert seconds < 3
        assert files_in(tmp_path) == []
        assert processes_with(str(tmp_path)) == []


async def test_a_port_may_be_chosen(tmp_path: Path) -> None:
    port = free_port()
    async with demo(tmp_path, "--port", str(port)) as running:
        await started(running)
        assert running.port == port


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        async with demo(tmp_path, "--port", str(port)) as running:
            _, err = await running.process.communicate()
            assert running.process.returncode == 1
            assert err.decode() == f"nuki-bridge: port {port} cannot be used: Address already in use (broker_error)\n"
            assert files_in(tmp_path) == []


async def test_without_mosquitto_it_says_how_to_install_it(tmp_path: Path) -> None:
    code = (
        "import shutil, sys; shutil.which = lambda *a, **k: None\n"
        "from nuki_bridge.command_line.cli import main; sys.exit(main(['demo']))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().count("\n") == 1
    assert "sudo apt install mosquitto" in err.decode()
