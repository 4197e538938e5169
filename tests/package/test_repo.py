"""`make repo`: an apt repository that apt trusts by its key alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import nuki_bridge

pytestmark = pytest.mark.skipif(
    any(shutil.which(each) is None for each in ("gpg", "dpkg-scanpackages", "apt-get")), reason="needs Debian and gpg"
)

ROOT = Path(__file__).parents[2]
KEY = "packages@nuki-bridge.invalid"


def make(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "GNUPGHOME": str(home)}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of gpg with a key."""
    home = tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch"]
    made = [*gpg, "--passphrase", "", "--quick-generate-key", KEY, "ed25519", "sign", "never"]
    subprocess.run(made, check=True, capture_output=True)
    yield home
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)


@pytest.fixture(scope="module")
def repository(keys: Path) -> Path:
    done = make("repo", f"KEY={KEY}", home=keys)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "repo"


def apt(repository: Path, place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run an apt that knows this repository alone, as any user."""
    for folder in ("lists/partial", "cache/archives/partial", "etc/sources", "etc/trusted"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    (place / "status").touch()
    text = (repository / "nuki-bridge.sources").read_text()
    text = text.replace("https://example.net/nuki-bridge", f"file:{repository}")
    text = text.replace("/etc/apt/keyrings/nuki-bridge.asc", str(repository / "nuki-bridge.asc"))
    (place / "etc/sources/nuki-bridge.sources").write_text(text)
    options = {
        "Dir::State::lists": place / "lists",
        "Dir::State::status": place / "status",
        "Dir::Cache": place / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": place / "etc/sources",
        "Dir::Etc::trustedparts": place / "etc/trusted",
        "APT::Architecture": "arm64",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
    }
    line = [command[0], *(part for key, value in options.items() for part in ("-o", f"{key}={value}")), *command[1:]]
    return subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})


def test_apt_takes_the_package_of_whoever_has_the_key(repository: Path, tmp_path: Path) -> None:
    updated = apt(repository, tmp_path, "apt-get", "update")
    assert (updated.returncode, "NO_PUBKEY" in updated.stderr) == (0, False), updated.stderr
    assert not [each for each in updated.stderr.splitlines() if each.startswith(("W:", "E:"))], updated.stderr
    shown = apt(repository, tmp_path, "apt-cache", "show", "nuki-bridge")
    assert f"Version: {nuki_bridge.__version__}\n" in shown.stdout
    (deb,) = (repository / "pool").rglob("*.deb")
    assert f"Filename: {deb.relative_to(repository)}\n" in shown.stdout


@pytest.mark.parametrize("changed", ["Release", "InRelease", "Packages"])
def test_what_somebody_has_changed_since_is_refused(repository: Path, tmp_path: Path, changed: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    suite = copy / "dists" / "stable"
    if changed == "Packages":
        for index in suite.glob("main/*/Packages"):
            index.write_text(index.read_text().replace("nuki-bridge", "nuki-evil-x"))
            Path(f"{index}.gz").unlink()
    else:
        if changed == "Release":
            (suite / "InRelease").unlink()
        (suite / changed).write_text((suite / changed).read_text().replace("Label: nuki-bridge", "Label: else"))
    refused = apt(copy, tmp_path, "apt-get", "update")
    assert refused.returncode != 0, refused.stdout + refused.stderr
    shown = apt(copy, tmp_path, "apt-cache", "show", "nuki-bridge")
    assert shown.returncode != 0


@pytest.mark.parametrize("key", ["", "nobody@nuki-bridge.invalid"])
def test_without_a_key_there_is_no_repository(key: str, keys: Path) -> None:
    done = make("repo", f"KEY={key}", home=keys)
    assert done.returncode != 0
    assert f'gpg has no secret key "{key}"' in done.stderr
