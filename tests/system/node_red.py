"""A real Node-RED with the flow that is handed out, beside the demo, and what a test needs to talk to both."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.documented import mistakes
from tests.integration.broker import free_port
from tests.patience import blocking_until as until

ROOT = Path(__file__).parents[2]
FLOWS = ROOT / "etc" / "node-red" / "flows.json"
TREE = ROOT / ".cache" / "node-red"
LOCK = "front_door"
USER, PASSWORD = "anna", "nuki test"
# of PASSWORD, as `node-red admin hash-pw` makes it
_HASH = "$2b$08$wq0v8mZXh.N.UaWqajax.e0I86l2T0qCvW/XTXoDWzX9KApFySLty"

_SETTINGS = """\
module.exports = {
    uiHost: "127.0.0.1", uiPort: %(port)d, flowFile: "flows.json", credentialSecret: "for this test",
    %(auth)s
    // every context value goes to a file: what must not be in a file must not be in a context
    contextStorage: {default: {module: "localfilesystem", config: {flushInterval: 1}}},
    telemetry: {enabled: false, updateNotification: false},
    editorTheme: {tours: false},
    logging: {console: {level: "info", metrics: false, audit: false}},
};
"""


class Demo:
    """`nuki-bridge demo` on `port`, and an MQTT client that sees everything there."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self.heard: list[tuple[str, str]] = []
        """Topic below the base topic and payload, in the order in which they came."""
        self._raw: list[tuple[str, bytes]] = []
        self._new = threading.Condition()

    def __enter__(self) -> Demo:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nuki_bridge", "demo", "--port", str(self.port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.directory)},
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Ctrl-C"):
                break
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self._paho = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._paho.on_message = self._on_message
        self._paho.connect("127.0.0.1", self.port)
        self._paho.subscribe("nuki/#", qos=1)
        self._paho.loop_start()
        until(lambda: self.last("state") == "locked")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(15)
        if error is None:
            assert mistakes(self._raw) == []

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._new:
            self._raw.append((message.topic, bytes(message.payload)))
            self.heard.append((message.topic.removeprefix("nuki/"), message.payload.decode(errors="replace")))
            self._new.notify_all()

    @property
    def url(self) -> str:
        """The broker's, for the command line."""
        return f"mqtt://127.0.0.1:{self.port}/nuki"

    def on(self, topic: str) -> list[str]:
        """Payloads on a topic of the lock."""
        with self._new:
            return [payload for each, payload in self.heard if each == f"{LOCK}/{topic}"]

    def last(self, topic: str) -> str | None:
        """The last of them."""
        return next(reversed(self.on(topic)), None)

    def publish(self, topic: str, payload: object, *, of: str = LOCK) -> None:
        """Publish on a topic of the lock, or `of` another one."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self._paho.publish(f"nuki/{of}/{topic}", text, qos=1).wait_for_publish(5)

    def ask(self, topic: str, payload: object, answer: str) -> dict[str, Any]:
        """Publish, and the next message on `answer`."""
        before = len(self.on(answer))
        self.publish(topic, payload)
        told: dict[str, Any] = json.loads(until(lambda: self.on(answer)[before:])[0])
        return told

    def simulate(self, **control: object) -> dict[str, Any]:
        """Do something to the virtual lock; gives the lock as it is then."""
        answer = self.ask("simulate", control, "simulate/response")
        assert answer["status"] == "ok", answer
        data: dict[str, Any] = answer["data"]
        return data

    def received(self) -> list[str]:
        """Every lock action that the lock itself has received so far, by its own audit trail."""
        trail = self.simulate(audit=True)["audit"]
        return [str(each["detail"]) for each in trail if each["what"] == "action_received"]

    def movements(self) -> int:
        """How often its motor was started."""
        return int(self.simulate(status=True)["movements"])

    def bring_to(self, state: str, door: str = "closed") -> None:
        """Turn it by hand, and wait until the bridge has told."""
        self.simulate(door=door, turn=state)
        self.ask("request/refresh", {}, "response/refresh")
        until(lambda: (self.last("state"), self.last("door")) == (state, door))


class NodeRed:
    """Node-RED with a user directory of its own; `deploy` a flow, then talk to it."""

    def __init__(self, directory: Path, *, password: bool = True) -> None:
        self.directory = directory
        self.password = password
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = ""

    def __enter__(self) -> NodeRed:
        self.directory.mkdir()
        auth = f'httpNodeAuth: {{user: "{USER}", pass: "{_HASH}"}},' if self.password else ""
        values = {"port": self.port, "auth": auth}
        (self.directory / "settings.js").write_text(_SETTINGS % values)
        with (self.directory / "node-red.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["node", str(TREE / "node_modules/node-red/red.js"), "--userDir", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: "Started flows" in self.log, lambda: self.log)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.directory / "node-red.log").read_text(errors="replace")

    # -- as the editor does -------------------------------------------------------------------------------------------

    def deploy(self, **variables: object) -> None:
        """Deploy the flow as it is handed out, with these environment variables of its tab filled in."""
        flow = json.loads(FLOWS.read_text())
        (tab,) = (each for each in flow if each["type"] == "tab")
        for variable in tab["env"]:
            if variable["type"] == "cred":
                tab["credentials"] = {variable["name"]: variables.pop(variable["name"], "")}
            elif variable["name"] in variables:
                variable["value"] = str(variables.pop(variable["name"]))
        assert not variables
        before = self.log.count("Started flows")
        status, _, text = self.request("POST", "/flows", flow, {"Node-RED-Deployment-Type": "full"})
        assert status == 204, text
        until(lambda: self.log.count("Started flows") > before, lambda: self.log)

    def press(self, name: str) -> None:
        """Press the button of an inject node."""
        (button,) = (
            each for each in json.loads(FLOWS.read_text()) if each["type"] == "inject" and each["name"] == name
        )
        status, _, text = self.request("POST", f"/inject/{button['id']}")
        assert status == 200, text

    # -- as a browser does --------------------------------------------------------------------------------------------

    def request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, *, user: bool = True
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of an answer; `user` logs in as the browser of somebody who may."""
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        if user:
            sent["Authorization"] = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(self.url + path, data, {**sent, **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read().decode()

    def open_page(self) -> str:
        """Load the page, as a browser does first."""
        status, _, page = self.request("GET", "/nuki")
        assert status == 200, page
        found = re.search(r'name="token" content="([0-9a-f]{32})"', page)
        assert found
        self.token = found[1]
        return page

    def state(self) -> dict[str, Any]:
        """What the page shows."""
        status, _, text = self.request("GET", "/nuki", headers={"X-Nuki-Page": self.token})
        assert status == 200, text
        shown: dict[str, Any] = json.loads(text)
        return shown

    def ask(self, **body: object) -> tuple[int, dict[str, Any]]:
        """What one of the page's buttons does."""
        status, _, text = self.request("POST", "/nuki", body, {"X-Nuki-Page": self.token})
        return status, json.loads(text)

    def files(self) -> dict[Path, bytes]:
        """What is in its user directory, contexts included."""
        return {each: each.read_bytes() for each in self.directory.rglob("*") if each.is_file()}

    def notices(self) -> list[str]:
        """The notices on the page, the newest first."""
        return [each["text"] for each in self.state()["notices"]]
