"""`make release`: nothing but a clean checkout of a tag becomes one; checksums and notes belong to it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import nuki_bridge

ROOT = Path(__file__).parents[2]
VERSION = nuki_bridge.__version__
NACL = "nuki_bridge/web/page/vendor/nacl-fast.js"


class Clone:
    """A checkout in which a release can be made; tools that make would install are those of this one."""

    def __init__(self, place: Path) -> None:
        self.place = place
        files = self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", at=ROOT).split("\0")
        for name in filter(None, files):
            if (ROOT / name).is_file():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, place / name)
        (place / NACL).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / NACL, place / NACL)
        self.git("init", "-q")
        changes = place / "CHANGELOG.md"
        changes.write_text(changes.read_text().replace(" (not released yet)", "", 1))
        self.commit()

    def git(self, *arguments: str, at: Path | None = None) -> str:
        names = ("-c", "user.name=test", "-c", "user.email=test@nuki-bridge.invalid")
        done = subprocess.run(
            ["git", *names, *arguments], cwd=at or self.place, capture_output=True, text=True, check=True
        )
        return done.stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "--message", "all")

    def release(self) -> subprocess.CompletedProcess[str]:
        """What `make release` does once the tools are there."""
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [".ci/release", VERSION, str(ROOT / ".venv-build/bin/python")]
        return subprocess.run(command, cwd=self.place, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    subprocess.run(["make", ".venv-build/.complete"], cwd=ROOT, check=True, capture_output=True)
    return Clone(tmp_path)


def test_a_tag_becomes_a_release_with_checksums_and_notes(clone: Clone) -> None:
    clone.git("tag", f"v{VERSION}")
    done = clone.release()
    assert done.returncode == 0, done.stdout + done.stderr
    folder = clone.place / "build" / "release" / VERSION
    assert done.stdout.splitlines()[-1] == f"build/release/{VERSION}"
    files = {
        f"nuki-bridge_{VERSION}_all.deb",
        f"nuki_bridge-{VERSION}.tar.gz",
        f"nuki_bridge-{VERSION}-py3-none-any.whl",
    }
    assert {each.name for each in folder.iterdir()} == {*files, "SHA256SUMS", "notes.md"}
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert sums == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    notes = (folder / "notes.md").read_text()
    section = re.search(
        rf"^## {re.escape(VERSION)}.*?\n(.*?)(?=^## |\Z)", (clone.place / "CHANGELOG.md").read_text(), re.M | re.S
    )
    assert section
    assert notes.startswith(section[1].strip())
    assert all(each in notes for each in (*sums, *sums.values()))
    assert clone.git("status", "--porcelain") == ""


def test_what_is_no_clean_tag_becomes_none(clone: Clone) -> None:
    def refused(why: str) -> None:
        done = clone.release()
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr
        assert not (clone.place / "build").exists()

    refused(f"no tag v{VERSION}")
    clone.git("tag", "v9.9.9")
    refused(f"no tag v{VERSION}")
    clone.git("tag", f"v{VERSION}")
    (clone.place / "README.md").write_text("changed\n")
    refused("not committed")
    clone.git("checkout", "-q", "README.md")
    (clone.place / "stray").touch()
    refused("not committed")
    (clone.place / "stray").unlink()

    changes = clone.place / "CHANGELOG.md"
    for heading, why in (
        (f"## {VERSION} (not released yet)", "is not released yet"),
        ("## 9.9.9", f"says nothing of {VERSION}"),
    ):
        changes.write_text(re.sub(rf"^## ({re.escape(VERSION)}.*|9.9.9)$", heading, changes.read_text(), flags=re.M))
        clone.commit()
        clone.git("tag", "--force", f"v{VERSION}")
        refused(why)
