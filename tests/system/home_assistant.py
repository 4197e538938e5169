"""A real Home Assistant in the Debian 13 root file system, driven through its own HTTP interface.

It is installed from PyPI into a virtual environment of its own, once, in `.cache/home-assistant`.  It is set up as a
person does it: the first account, then the MQTT integration with the broker's address; nothing is written into its
storage behind its back.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests import patience
from tests.integration.broker import free_port
from tests.vm import debian

PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / ".cache" / "home-assistant"
REQUIREMENTS = PROJECT / "tests" / "requirements-home-assistant.txt"
PLACE = "/opt/home-assistant"
"""Where the environment is in the Debian system,"""
CONFIG = "/config"
"""and Home Assistant's own directory."""
START_S = 180.0
PATIENCE_S = 30.0
"""How long something may take that usually takes a moment: the machine may be busy."""
CLIENT = "http://127.0.0.1/"

_CONFIGURATION = """\
homeassistant:
  name: Test
  country: AT
  time_zone: Europe/Vienna
  unit_system: metric
  internal_url: http://127.0.0.1:{port}
http:
  server_host: 127.0.0.1
  server_port: {port}
logger:
  default: info
  logs:
    homeassistant.components.mqtt.entity: warning  # hundreds of lines at once, of which it warns
"""
_INSTALL = """
ours=/mnt/requirements.txt
"$1/bin/pip" -q --no-cache-dir --disable-pip-version-check install $(grep ^uv= $ours)
uv() { "$1/bin/uv" pip install --quiet --no-cache --python "$1/bin/python" "${@:2}"; }
uv "$1" --no-deps $(grep ^homeassistant= $ours)
known=$(echo "$1"/lib/python3*/site-packages/homeassistant/package_constraints.txt)
grep -v -F -f <(sed -n 's/==.*/==/p' $ours) $known >"$1/constraints.txt"
uv "$1" -c "$1/constraints.txt" --override $ours -r $ours
"""
"""With the installer that Home Assistant has for itself; pip takes many minutes to choose among the versions."""
_MARKS = re.compile(r"\x1b\[[0-9;]*m")
_COMPLAINT = re.compile(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) .*", re.MULTILINE)


class HomeAssistantError(Exception):
    """It cannot be installed; the text says why."""


def environment() -> Path:
    """The virtual environment, made if it is missing or other versions are asked for."""
    debian_root = debian.root()
    home = CACHE / debian.digest(debian_root.parent.name, REQUIREMENTS.read_text(), _INSTALL)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            for old in CACHE.iterdir():
                if old.is_dir():
                    subprocess.run([*debian.AS_ROOT, "rm", "-rf", "--one-file-system", str(old)], check=True)
            home.mkdir()
            debian.say(f"installing Home Assistant in {home.relative_to(PROJECT)}")
            _inside(home, "python3", "-m", "venv", PLACE)
            _inside(home, "bash", "-euc", _INSTALL, "bash", PLACE, binds={REQUIREMENTS: "/mnt/requirements.txt"})
            (home / "complete").touch()
    return home


def _inside(home: Path, *command: str, binds: dict[Path, str] | None = None) -> None:
    whole = debian.inside(*command, binds={home: PLACE, **(binds or {})})
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HomeAssistantError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def until(what: Callable[[], Any], timeout_s: float = PATIENCE_S, *, or_say: Callable[[], object] = str) -> Any:
    """What `what` gives as soon as it is true."""
    return patience.blocking_until(what, or_say, timeout_s)


class HomeAssistant:
    """One installation with its directory; `start` and `stop` it as often as wanted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._token: str | None = None
        self._refresh: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "configuration.yaml").write_text(_CONFIGURATION.format(port=self.port))

    # -- the process

    def start(self) -> None:
        """Start it and wait until it is there, with everything that it knows."""
        binds = {environment(): PLACE, self.directory: CONFIG}
        with (self.directory / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                debian.inside(f"{PLACE}/bin/hass", "--config", CONFIG, "--skip-pip", "--log-no-color", binds=binds),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._answers, START_S, or_say=lambda: self.log[-4000:])
        if self._token is None:
            self._make_account()
        else:
            self._renew()
        until(lambda: self.get("config")["state"] == "RUNNING", START_S, or_say=lambda: self.log[-4000:])

    def stop(self) -> None:
        """Stop it, as its menu does, and wait for its end."""
        assert self._process is not None
        self.call("homeassistant", "stop")
        try:
            self._process.wait(60)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once, if it runs."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()  # unshare takes everything below it along
            process.wait()

    @property
    def log(self) -> str:
        """Everything it has said."""
        return _MARKS.sub("", (self.directory / "output.log").read_text(errors="replace"))

    def complaints(self) -> list[str]:
        """Its warnings and errors."""
        return [match[0] for match in _COMPLAINT.finditer(self.log)]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Home Assistant has ended:\n{self.log[-4000:]}"
        with contextlib.suppress(OSError):
            self.request("GET", "/manifest.json")
            return True
        return False

    # -- setting it up

    def _make_account(self) -> None:
        account = {"client_id": CLIENT, "name": "Anna", "username": "anna", "password": "nuki test", "language": "en"}
        code = self.request("POST", "/api/onboarding/users", account)["auth_code"]
        tokens = self._tokens(grant_type="authorization_code", code=code)
        self._token, self._refresh = tokens["access_token"], tokens["refresh_token"]

    def _renew(self) -> None:
        assert self._refresh is not None
        self._token = self._tokens(grant_type="refresh_token", refresh_token=self._refresh)["access_token"]

    def _tokens(self, **form: str) -> Any:
        data = urllib.parse.urlencode({"client_id": CLIENT, **form}).encode()
        return self.request("POST", "/auth/token", data)

    def add_mqtt(self, port: int, username: str, password: str) -> None:
        """Add the MQTT integration: what a person enters in its form, and no more."""
        flow = self.post("config/config_entries/flow", {"handler": "mqtt", "show_advanced_options": False})
        entered = {"broker": "127.0.0.1", "port": port, "username": username, "password": password}
        done = self.post(f"config/config_entries/flow/{flow['flow_id']}", entered)
        assert done["type"] == "create_entry", done

    def begin_bridge(self) -> str:
        """Open the form of the integration "Nuki Bridge"; returns the flow's ID."""
        flow = self.post("config/config_entries/flow", {"handler": "nuki", "show_advanced_options": False})
        assert flow["type"] == "form", flow
        return str(flow["flow_id"])

    def enter_bridge(self, flow: str, port: int, token: str) -> dict[str, Any]:
        """What a person enters in that form, and what comes of it: a new entry, or the form with what was wrong."""
        entered = {"host": "127.0.0.1", "port": port, "token": token}
        done: dict[str, Any] = self.post(f"config/config_entries/flow/{flow}", entered)
        return done

    def entry(self, domain: str) -> dict[str, Any]:
        """The one entry of an integration."""
        [found] = [each for each in self.get("config/config_entries/entry") if each["domain"] == domain]
        told: dict[str, Any] = found
        return told

    # -- talking to it

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One HTTP request; JSON, or a form if `body` is bytes."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None and not isinstance(body, bytes):
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read().decode()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def get(self, path: str) -> Any:
        """Ask its REST API."""
        return self.request("GET", f"/api/{path}")

    def post(self, path: str, body: Any) -> Any:
        """Tell its REST API."""
        return self.request("POST", f"/api/{path}", body)

    def call(self, domain: str, service: str, entity: str | None = None, **data: Any) -> None:
        """Call a service ("perform an action")."""
        self.post(f"services/{domain}/{service}", {**({"entity_id": entity} if entity else {}), **data})

    def enable(self, *entities: str) -> None:
        """Enable entities that are disabled, as its settings page does; it takes half a minute until they are there."""
        with connect(f"ws://127.0.0.1:{self.port}/api/websocket") as socket:
            socket.recv()
            socket.send(json.dumps({"type": "auth", "access_token": self._token}))
            assert json.loads(socket.recv())["type"] == "auth_ok"
            for number, entity in enumerate(entities, 1):
                change = {"type": "config/entity_registry/update", "entity_id": entity, "disabled_by": None}
                socket.send(json.dumps({"id": number, **change}))
                done = json.loads(socket.recv())
                assert done["success"], done

    def template(self, text: str) -> Any:
        """Render a template that gives JSON."""
        return self.post("template", {"template": "{{ (" + text + ") | to_json }}"})

    def entities(self, integration: str = "mqtt") -> dict[str, dict[str, Any]]:
        """Every entity of an integration with its state and attributes, by its ID."""
        ours = set(self.template(f"integration_entities('{integration}')"))
        return {each["entity_id"]: each for each in self.get("states") if each["entity_id"] in ours}

    def state(self, entity: str) -> str | None:
        """An entity's state; None if there is no such entity."""
        try:
            return str(self.get(f"states/{entity}")["state"])
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def attributes(self, entity: str) -> dict[str, Any]:
        """An entity's attributes."""
        found: dict[str, Any] = self.get(f"states/{entity}")["attributes"]
        return found

    def until(self, entity: str, *states: str | None, timeout_s: float = PATIENCE_S) -> str | None:
        """Wait until an entity has one of the states."""
        until(
            lambda: self.state(entity) in states,
            timeout_s,
            or_say=lambda: f"{entity} is {self.state(entity)}, not {states}\n{self.log[-3000:]}",
        )
        return self.state(entity)


@contextlib.contextmanager
def running(directory: Path) -> Iterator[HomeAssistant]:
    """A new installation that runs; its files are removed, which belong to root."""
    directory.mkdir()
    home = HomeAssistant(directory)
    try:
        home.start()
        yield home
    finally:
        home.kill()
        if os.geteuid() != 0:
            subprocess.run([*debian.AS_ROOT, "chown", "-R", str(os.geteuid()), str(directory)], check=True)
