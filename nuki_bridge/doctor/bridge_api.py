"""The doctor on Nuki's Bridge HTTP API: does it run, can its service read what it needs, does the broker let it?

No token is sent anywhere: whatever listens on its port may be another program.  What the settings themselves have
wrong is told with the configuration.
"""

from __future__ import annotations

import asyncio
import errno
import os
import pwd
import secrets
import socket
import stat
from contextlib import suppress
from pathlib import Path

from nuki_bridge.bridge_http.server import NO_SUCH_CALL
from nuki_bridge.config import MqttSettings
from nuki_bridge.doctor.bluetooth import unit
from nuki_bridge.doctor.broker import ACKNOWLEDGED_S, ANSWER_S, Visit
from nuki_bridge.doctor.check import Check
from nuki_bridge.doctor.finding import CouldNotLook, Finding, ok, problem, unknown
from nuki_bridge.doctor.place import SUDO, Place, in_thread, may_read
from nuki_bridge.errors import ConfigError, NukiError
from nuki_bridge.lock_name import PROBE
from nuki_bridge.records import frozen
from nuki_bridge.web import settings as web_settings

NAME = "bridge API"
ASKED_S = 10.0
"""Longest wait in seconds for an answer on its port."""
LOOK_S = 0.1
RESTART = "`sudo systemctl restart nuki-bridge-web`"
SECRET_FILES = ("token_file", "password_file")


@frozen
class BrokerFacts:
    """How the broker treats its account, and how the daemon calls its topics; None: nobody could tell.

    `refused` is why the account is not let in.  `commands` is whether it may publish them, `states` whether it reads
    what the daemon keeps there.
    """

    who: str
    base: str
    base_of_daemon: str | None
    refused: str | None = None
    commands: bool | None = None
    states: bool | None = None


@frozen
class ApiFacts:
    """`where` is its address and port.  `answers`: it itself, something else (False), or nobody (None); `unusable` is
    then the number of the error with which nobody can listen there.

    `service` is its unit's state, None where nobody knows; `hidden` are files that its user cannot read.
    """

    where: str
    answers: bool | None
    unusable: int | None
    service: str | None
    hidden: tuple[str, ...]
    broker: BrokerFacts


async def _look(place: Place) -> ApiFacts | None:
    """Return None where it is off."""
    page = place.config_file.with_name("web.yaml")
    if not may_read(page):
        raise CouldNotLook(f"this user cannot read {page}", SUDO)
    if not page.exists():
        return None
    try:
        settings = web_settings.load(page)
    except ConfigError:
        raise CouldNotLook(f"{page} has mistakes") from None
    api = settings.bridge_api
    if api is None:
        return None
    address = api.listen[0]
    (answers, unusable), service, hidden, broker = await asyncio.gather(
        _listener(address, api.port),
        _service(place),
        in_thread(lambda: _hidden(page, place.page_user)),
        _broker(place, settings, api),
    )
    where = f"[{address}]:{api.port}" if ":" in address else f"{address}:{api.port}"
    return ApiFacts(where, answers, unusable, service, hidden, broker)


async def _service(place: Place) -> str | None:
    try:
        found = await unit(place, "nuki-bridge-web.service", "LoadState", "ActiveState")
    except CouldNotLook:
        return None
    return found.get("ActiveState") if found.get("LoadState") == "loaded" else None


async def _listener(address: str, port: int) -> tuple[bool | None, int | None]:
    """Return who answers there, and why nobody can listen there, if nobody does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    try:
        async with asyncio.timeout(ASKED_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /doctor HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n")
                said = b""
                while len(said) < 4096 and (data := await reader.read(4096)):
                    said += data
            finally:
                writer.close()
        return NO_SUCH_CALL.encode() in said, None
    except TimeoutError:
        return False, None
    except OSError as error:
        if error.errno == errno.ECONNRESET:
            return False, None
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
    except OSError as error:
        return None, error.errno
    return None, None


def _hidden(page: Path, user: str) -> tuple[str, ...]:
    """Return the files with its secrets that a user cannot read; none of a user who does not exist."""
    import yaml

    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return ()  # `nuki-bridge web` may run in another way
    groups = os.getgrouplist(user, account.pw_gid)
    section = yaml.safe_load(page.read_bytes())["bridge_api"]  # which was found to be without mistakes
    files = [page, *(page.parent / section[each] for each in SECRET_FILES if each in section)]
    return tuple(str(each) for each in files if each.exists() and not _may_read(each, account.pw_uid, groups))


def _may_read(file: Path, uid: int, groups: list[int]) -> bool:
    absolute = file.absolute()
    for place in (absolute, *absolute.parents):
        status = place.stat()
        bits = status.st_mode
        if status.st_uid == uid:
            bits >>= 6
        elif status.st_gid in groups:
            bits >>= 3
        if uid and not bits & (stat.S_IROTH if place == absolute else stat.S_IXOTH):
            return False
    return True


async def _broker(place: Place, settings: web_settings.WebSettings, api: web_settings.BridgeApiSettings) -> BrokerFacts:
    broker = settings.broker
    who = f"the account {api.username}" if api.username else "somebody without an account"
    base_of_daemon, info_is_there = None, False
    with suppress(CouldNotLook):
        base_of_daemon = place.broker().base_topic
        info_is_there = bool((await place.daemon()).info)
    account = MqttSettings(broker.host, broker.port, api.username, api.password, broker.tls, broker.base_topic)
    info = f"{broker.base_topic}/bridge/info"
    command = f"{broker.base_topic}/{PROBE}{secrets.token_hex(4)}/set"
    visit = Visit(account, [info])
    try:
        async with asyncio.timeout(ANSWER_S):
            await visit.open()
        visit.publish(command, "nuki-bridge doctor, no command: bridge API")
        await visit.settled()
        for _ in range(int(ACKNOWLEDGED_S / LOOK_S)):
            if visit.heard or not info_is_there:
                break
            await asyncio.sleep(LOOK_S)
    except TimeoutError:
        if visit.protocol is None:
            return BrokerFacts(who, broker.base_topic, base_of_daemon, f"it does not answer within {ANSWER_S:g} s")
    except NukiError as error:
        return BrokerFacts(who, broker.base_topic, base_of_daemon, str(error))
    finally:
        await visit.close()
    commands = False if command in visit.refused else True if visit.protocol == "5" else None
    states = bool(visit.heard) if info_is_there else None
    return BrokerFacts(who, broker.base_topic, base_of_daemon, None, commands, states)


def judge(facts: ApiFacts | None) -> list[Finding]:
    """Can other programs use it?"""
    if facts is None:
        return [ok(NAME, "it is off")]
    findings = [
        problem(
            NAME,
            f"its service cannot read {each}",
            f"`sudo chgrp nuki-bridge-web {each}` and `sudo chmod 640 {each}`, then {RESTART}",
        )
        for each in facts.hidden
    ]
    findings += _judge_port(facts) + _judge_broker(facts.broker)
    return findings or [ok(NAME, f"it answers on {facts.where}, and the broker lets {facts.broker.who} in")]


def _judge_port(facts: ApiFacts) -> list[Finding]:
    if facts.answers:
        return []
    another = f"give bridge_api.port in web.yaml another value, then {RESTART}"
    if facts.answers is False or facts.unusable == errno.EADDRINUSE:
        return [problem(NAME, f"another program is on {facts.where}", another)]
    if facts.unusable == errno.EADDRNOTAVAIL:
        advice = f"correct bridge_api.listen in web.yaml, then {RESTART}"
        return [problem(NAME, f"{facts.where} is no address of this computer", advice)]
    if facts.service is None:
        return [unknown(NAME, f"nobody answers on {facts.where}, and whether `nuki-bridge web` shall run is not known")]
    if facts.service != "active":
        advice = "`journalctl -u nuki-bridge-web -n 50` says why; then `sudo systemctl enable --now nuki-bridge-web`"
        return [problem(NAME, f"nuki-bridge-web.service is {facts.service}", advice)]
    return [problem(NAME, f"nuki-bridge-web.service runs, but does not answer on {facts.where}", RESTART)]


def _judge_broker(facts: BrokerFacts) -> list[Finding]:
    if facts.refused is not None:
        advice = "broker, bridge_api.username and bridge_api.password_file in web.yaml; docs/bridge-http.md, Set up"
        return [problem(NAME, f"the broker does not let {facts.who} in: {facts.refused}", advice)]
    if facts.base_of_daemon is not None and facts.base != facts.base_of_daemon:
        sentence = f"it looks for locks below {facts.base}, where web.yaml sends it, and the daemon below"
        advice = f"give broker.base_topic in web.yaml what mqtt.base_topic in config.yaml has, then {RESTART}"
        return [problem(NAME, f"{sentence} {facts.base_of_daemon}", advice)]
    may_not = []
    if facts.states is False:
        may_not.append(f"read what the daemon tells below {facts.base}, unless that is at another broker")
    if facts.commands is False:
        may_not.append(f"send commands to a lock ({facts.base}/+/set)")
    if may_not:
        advice = "take the section `user bridge_api` of etc/mosquitto/nuki-bridge.acl as it is"
        return [problem(NAME, f"{facts.who} may not {' nor '.join(may_not)}", advice)]
    return []


CHECKS = (
    Check(NAME, "Nuki's Bridge HTTP API, if it is on: port, service, secrets, account at the broker", _look, judge),
)
