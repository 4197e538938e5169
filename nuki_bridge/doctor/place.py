"""Where the doctor looks: the files, programs and settings of this machine, each of which a test can put in its place.

What is asked more than once is asked once, and all ask it at the same time.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from nuki_bridge import config
from nuki_bridge.config import BluetoothSettings, MqttSettings, Settings
from nuki_bridge.doctor.finding import CouldNotLook
from nuki_bridge.errors import ConfigError
from nuki_bridge.records import frozen

T = TypeVar("T")

SUDO = "call it with sudo"
MAX_OUTPUT = 64 * 1024
"""Bytes of a program's output that are read."""


@frozen
class DaemonFacts:
    """What the broker and the running daemon tell.

    `missing` says why no daemon answers, None if one does.  `retained` has payloads by topic without the base topic,
    also of a daemon that has gone.  `offset_min` is this computer's own time zone, in minutes from UTC.
    """

    missing: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    health: Mapping[str, Any] = field(default_factory=dict)
    retained: Mapping[str, bytes] = field(default_factory=dict)
    offset_min: int | None = None


async def run_program(command: Sequence[str], user: str | None = None) -> str:
    """Return what a program prints, as another user if one is named; raises `CouldNotLook`."""
    try:
        more: dict[str, Any] = {} if user is None else _as_user(user)
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
            **more,
        )
    except (OSError, ValueError, LookupError) as error:
        raise CouldNotLook(f"{Path(command[0]).name} cannot be run ({_why(error)})") from None
    assert process.stdout is not None
    try:
        output = await process.stdout.read(MAX_OUTPUT)
        status = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
    if status:
        raise CouldNotLook(f"{Path(command[0]).name} ends with status {status}")
    return output.decode(errors="replace")


def may_read(file: Path) -> bool:
    """Return whether this user may read a file, which need not be there."""
    try:
        os.stat(file)
    except PermissionError:
        return False
    except OSError:
        return True  # whoever reads it says it better
    return os.access(file, os.R_OK, effective_ids=True)


async def in_thread(function: Callable[[], T]) -> T:
    """Return what `function` returns; it may block for ever, and then nobody waits for it, not even at the end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(lambda: None if done.done() else set_it())

    def work() -> None:
        try:
            result = function()
        except BaseException as error:
            failure = error
            settle(lambda: done.set_exception(failure))
        else:
            settle(lambda: done.set_result(result))

    threading.Thread(target=work, daemon=True).start()
    return await done


def _as_user(name: str) -> dict[str, Any]:
    account = pwd.getpwnam(name)
    groups = os.getgrouplist(name, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups, "cwd": "/"}


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


async def _nobody(_: MqttSettings) -> DaemonFacts:
    return DaemonFacts("nobody asks it")


@dataclass
class Place:
    """This machine.

    `config` is the file that was named, None for the default one.  `broker_named` is the broker of a URL that was
    given: another account than the daemon's may stand there.  `ask_daemon` asks a running daemon over its topics.
    `run` runs a program, `root` is where all absolute paths begin.
    """

    config: Path | None = None
    broker_named: MqttSettings | None = None
    ask_daemon: Callable[[MqttSettings], Awaitable[DaemonFacts]] = _nobody
    root: Path = Path("/")
    run: Callable[..., Awaitable[str]] = run_program
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    service_user: str = "nuki-bridge"
    page_user: str = "nuki-bridge-web"
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)
    _once: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    def path(self, path: str | Path) -> Path:
        """Return an absolute path of this machine."""
        return self.root / str(path).lstrip("/")

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs this machine."""
        try:
            return self.path("/run/systemd/system").is_dir()
        except OSError:
            return False

    async def once(self, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` returns, or raise what it raises, asked once for all who want it under this name."""
        if name not in self._once:
            self._once[name] = asyncio.ensure_future(_awaited(ask))
        return await asyncio.shield(self._once[name])

    @property
    def config_file(self) -> Path:
        """The configuration file."""
        return self.config or config.DEFAULT_PATH

    def settings(self) -> Settings:
        """Return the configuration; raises `ConfigError`, or `CouldNotLook` if this user may not read it."""
        if not may_read(self.config_file):
            raise CouldNotLook(f"this user cannot read {self.config_file}", SUDO)
        return config.load(self.config)

    def configured(self) -> Settings:
        """Return the configuration; raises `CouldNotLook` if it has mistakes, too."""
        try:
            return self.settings()
        except ConfigError:
            raise CouldNotLook("the configuration has mistakes") from None

    def bluetooth(self) -> BluetoothSettings:
        """Return the settings of Bluetooth, the default ones where nobody can read them."""
        try:
            return self.configured().bluetooth
        except CouldNotLook:
            return BluetoothSettings()

    def broker(self) -> MqttSettings:
        """Return the broker's settings; raises `CouldNotLook`."""
        return self.broker_named or self.configured().mqtt

    async def daemon(self) -> DaemonFacts:
        """Return what the daemon tells; raises `CouldNotLook` if the broker cannot be asked."""
        settings = self.broker()
        return await self.once("daemon", lambda: self.ask_daemon(settings))

    def close(self) -> None:
        """Stop asking."""
        for task in self._once.values():
            task.cancel()


async def _awaited(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()
