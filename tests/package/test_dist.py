"""`make dist`: source archive and wheel, what is in them, and that pipx runs them with and without systemd-python."""

from __future__ import annotations

import asyncio
import dataclasses
import email
import os
import socket
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import nuki_bridge
from tests import patience

ROOT = Path(__file__).parents[2]
NAME = f"nuki_bridge-{nuki_bridge.__version__}"


def call(*command: object, **environment: str) -> str:
    """What a program says; it has to succeed."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist() -> Path:
    call("make", "dist")
    return ROOT / "build" / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"{NAME}-py3-none-any.whl"


def program() -> set[str]:
    """Every file of the program."""
    modules = {each for each in (ROOT / "nuki_bridge").rglob("*.py") if "__pycache__" not in each.parts}
    page = {each for each in (ROOT / "nuki_bridge" / "web" / "page").rglob("*") if each.is_file()}
    others = {ROOT / "nuki_bridge" / "web" / "authority.html", ROOT / "nuki_bridge" / "py.typed"}
    return {str(each.relative_to(ROOT)) for each in modules | page | others}


def test_the_wheel_is_the_program_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = [archive.read(each) for each in names if each.endswith("/METADATA")]
    assert {each for each in names if ".dist-info/" not in each} == program()
    assert "nuki_bridge/web/page/vendor/nacl-fast.js" in names
    fields = email.message_from_bytes(metadata)
    assert (fields["Name"], fields["Version"]) == ("nuki-bridge", nuki_bridge.__version__)
    assert fields["Requires-Python"] == ">=3.11"
    assert fields["Description-Content-Type"] == "text/markdown"
    needed = fields.get_all("Requires-Dist") or []
    assert 'systemd-python>=235; extra == "systemd"' in needed
    assert not [each for each in needed if each.startswith("systemd") and "extra" not in each], "it takes a compiler"


def test_the_source_archive_has_all_that_a_service_takes(dist: Path) -> None:
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        members = archive.getmembers()
    names = {each.name.removeprefix(f"{NAME}/") for each in members}
    assert program() <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "docs/operations.md", "etc/config.yaml"} <= names
    assert {"systemd/install.sh", "systemd/nuki-bridge.service", "completions/_nuki-bridge"} <= names
    assert not [each for each in names if "__pycache__" in each or each.startswith(("tests", "build", "."))]
    assert {each.uid for each in members} == {0}


@dataclasses.dataclass(frozen=True)
class User:
    """Somebody who has installed the wheel with pipx, for a Python of this environment."""

    places: dict[str, str]
    has_systemd: bool

    @property
    def program(self) -> Path:
        return Path(self.places["PIPX_BIN_DIR"]) / "nuki-bridge"


@pytest.fixture(
    scope="module", params=[(".venv", ""), (".venv-debian13", "[systemd]")], ids=["as it is", "with systemd"]
)
def user(wheel: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> User:
    """Debian 12's version of Python as the wheel comes, and Debian 13's with systemd-python, which is compiled."""
    environment, extra = request.param
    home = tmp_path_factory.mktemp("home")
    places = {"PIPX_HOME": f"{home}/pipx", "PIPX_BIN_DIR": f"{home}/bin", "PIPX_MAN_DIR": f"{home}/man"}
    python = call(ROOT / environment / "bin/python", "-c", "import sys; print(sys._base_executable)").strip()
    call(ROOT / ".venv-build/bin/python", "-m", "pipx", "install", "--python", python, f"{wheel}{extra}", **places)
    return User(places, bool(extra))


def test_pipx_installs_it(user: User) -> None:
    assert call(user.program, "--version").splitlines()[0] == f"nuki-bridge {nuki_bridge.__version__}"
    assert "is valid" in call(user.program, "check-config", "--config", ROOT / "etc" / "config.yaml")
    [python] = Path(user.places["PIPX_HOME"]).glob("venvs/nuki-bridge/bin/python")
    found = subprocess.run(
        [python, "-c", "import systemd.journal"], capture_output=True, text=True, check=False, cwd="/"
    )
    assert (found.returncode == 0) == user.has_systemd, found.stderr


@pytest.mark.real_time
async def test_its_service_says_that_it_is_ready(user: User, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"mqtt: {{port: 1}}\nbluetooth: {{backend: virtual}}\nstate_dir: {tmp_path}/state\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
        systemd.bind(f"{tmp_path}/notify")
        process = await asyncio.create_subprocess_exec(
            user.program,
            *("run", "--config", str(config)),
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": f"{tmp_path}/notify"},
        )
        try:
            async with asyncio.timeout(patience.HANG_S):
                told = ""
                while "READY=1" not in told:
                    told += (await asyncio.get_running_loop().sock_recv(systemd, 4096)).decode() + "\n"
        finally:
            process.terminate()
            _, err = await process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in err.decode()
    assert "nuki-bridge stops" in err.decode()
