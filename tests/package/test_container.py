"""The Containerfile, as far as it can be looked at without building it: no container runs where the tests do."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def kept() -> set[str]:
    """What .containerignore leaves of the first level."""
    lines = (ROOT / ".containerignore").read_text().split()
    assert lines[0] == "*"
    return {line[1:] for line in lines if line.startswith("!")}


def test_its_instructions_are_known_and_in_order() -> None:
    words = [word for word, _ in instructions()]
    assert words[0] == "FROM"
    assert set(words) <= {"FROM", "COPY", "RUN", "ENV", "USER", "VOLUME", "ENTRYPOINT", "CMD"}
    assert words.index("USER") < words.index("ENTRYPOINT") < words.index("CMD")
    assert words.count("FROM") == 2


def test_it_runs_as_a_user_without_privileges() -> None:
    [user] = [rest for word, rest in instructions() if word == "USER"]
    number = user.partition(":")[0]
    assert int(number) > 0
    [makes] = [rest for word, rest in instructions() if word == "RUN" and "useradd" in rest]
    assert f"--uid {number} " in makes
    asked = (ROOT / "Containerfile").read_text() + (ROOT / "docs" / "install.md").read_text()
    for word in ("--privileged", "--cap-add", "--net=host", "--network=host", "docker.sock", "NET_ADMIN"):
        assert word not in asked
    assert "/run/dbus/system_bus_socket" in asked


def test_what_it_copies_is_there_and_is_not_ignored() -> None:
    copies = [rest.split() for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    sources = {source for *each, _ in copies for source in each}
    assert sources == kept()
    assert all((ROOT / source).exists() for source in sources)
    assert (ROOT / ".dockerignore").read_bytes() == (ROOT / ".containerignore").read_bytes()


def test_what_it_copies_is_enough_to_install_the_program(tmp_path: Path) -> None:
    """The build's own step, with the files that it has, but for what the program depends on."""
    source = tmp_path / "source"
    packed = tmp_path / "copy.tar"
    with tarfile.open(packed, "w") as archive:
        for name in kept():
            archive.add(ROOT / name, name, filter=lambda each: None if "__pycache__" in each.name else each)
    with tarfile.open(packed) as archive:
        archive.extractall(source, filter="data")
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, cwd=tmp_path)
    assert (target / "nuki_bridge/web/page/vendor/nacl-fast.js").exists()
    assert (target / "bin" / "nuki-bridge").exists()
