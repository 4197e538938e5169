"""What a shared door costs: a guest's action through the relay, a long list of users, many invitations."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from nuki_bridge.protocol.crypto import BOX_NONCE_SIZE
from nuki_bridge.sharing.invitation_code import key, lookup, read_code, seal
from tests.bench.table import spread

if TYPE_CHECKING:
    from tests.bench.child import Child
    from tests.bench.guest import Client, Daemon, Watcher

LISTINGS = 5
PIN = "1234"


class Guest:
    """A guest at the relay, and the daemon that passes on what it says; implements `guest.Contender`.

    Each action begins when the daemon has done everything that the last one brought with it: it reads the lock's states
    and its log.  `ahead`, the challenge is there by then, as on the phone page, which asks for it while a finger is
    still on the button.
    """

    wait_for = "calm"

    def __init__(self, daemon: Daemon, client: Client, port: int, topic: str, *, ahead: bool) -> None:
        self._daemon = daemon
        self._client = client
        self._reach = {"port": port, "topic": topic}
        self._ahead = ahead

    @property
    def process(self) -> Any:
        """The guest's."""
        return self._client.process

    def start(self) -> None:
        """Start both."""
        self._daemon.start()
        self._client.start()

    def until_reachable(self) -> None:
        """Wait for the daemon, and begin a session."""
        self._daemon.until_reachable()
        self.process.ask("reach", **self._reach)
        self.process.ask("connect")

    def stop(self) -> None:
        """End both."""
        self._client.stop()
        self._daemon.stop()

    def act(self, action: str) -> tuple[int, int]:
        """One action; the moments at which it began and COMPLETE had come."""
        if self._ahead:
            self.process.ask("ask_ahead")
        return self._client.act(action)


def list_users(air: Child, watcher: Watcher, lock: str, count: int) -> dict[str, Any]:
    """Have the daemon list so many users of the lock, or all if there are more, several times."""
    air.ask("fill", count=count)
    link_ms, answer_ms, trips, users = [], [], [], count
    for _ in range(LISTINGS):
        air.ask("ready", wait="calm")
        start = watcher.publish(f"{lock}/request/users/list", "{}")
        answered = watcher.wait(f"{lock}/response/users/list", '"status":"ok"')
        [payload] = [each for _, topic, each in watcher.heard if topic.endswith("/users/list")]
        users = len(json.loads(payload)["data"])
        assert users >= count
        air.ask("wait", what="confirmed")
        packets = air.ask("seen")["packets"]
        moments = [at for _, at in packets if at <= answered]
        link_ms.append((moments[-1] - moments[0]) / 1e6)
        answer_ms.append((answered - start) / 1e6)
        trips.append(sum(name.endswith(("_REQUEST", "_INDICATION")) for name, at in packets if at <= answered))
    air.ask("fill", count=0)
    return {"users": users, "link_ms": spread(link_ms), "answer_ms": spread(answer_ms), "att": spread(trips)}


def invite_and_redeem(air: Child, watcher: Watcher, lock: str, count: int) -> dict[str, Any]:
    """Make so many invitations, then redeem each, one after the other and without a pause."""
    air.ask("wait", what="calm")
    codes, create_ms, redeem_ms = [], [], []
    began = time.monotonic()
    for number in range(count):
        start = watcher.publish(f"{lock}/request/invite/create", json.dumps({"name": f"Guest {number}"}))
        create_ms.append((watcher.wait(f"{lock}/response/invite/create", '"status":"ok"') - start) / 1e6)
        [payload] = [each for _, topic, each in watcher.heard if topic.endswith("/invite/create")]
        codes.append(read_code(json.loads(payload)["data"]["code"]))
    created = time.monotonic()
    for code in codes:
        request = json.dumps({"client": secrets.token_hex(16), "time": int(time.time())}).encode()
        topic = f"invitation/{lookup(code)}"
        start = watcher.publish(f"{topic}/redeem", seal(key(code), request, secrets.token_bytes(BOX_NONCE_SIZE)))
        redeem_ms.append((watcher.wait(f"{topic}/response", "") - start) / 1e6)
        [payload] = [each for _, topic, each in watcher.heard if topic.startswith("invitation/")]
        assert not payload.startswith("{"), payload
    return {
        "invitations": count,
        "create_ms": spread(create_ms),
        "redeem_ms": spread(redeem_ms),
        "create_s": created - began,
        "redeem_s": time.monotonic() - created,
    }
