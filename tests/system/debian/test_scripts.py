"""What dpkg and the package's scripts do to users, modes and files, in a copy of Debian 13 where no service runs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.broker import free_port
from tests.vm import debian

BUILD = debian.PROJECT / "build"

CONFIG = "/etc/nuki-bridge/config.yaml"
STATE = "/var/lib/nuki-bridge"
DROP_INS = "/etc/systemd/system/nuki-bridge.service.d"
HIGHER = "9.1.0"
_LAYER = """
mkdir -p /scratch/upper /scratch/work /scratch/merged
mount -t overlay overlay -o lowerdir=/,upperdir=/scratch/upper,workdir=/scratch/work /scratch/merged
cd /scratch/merged
mount -t proc proc proc
mount --rbind /dev dev
mkdir -p repository packages
mount --bind /repository repository
mount --bind /packages packages
exec chroot . sh -euc "$1"
"""
"""Runs a script on the files of the Debian system; what it changes is kept beside them, in /scratch."""


class Scratch:
    """A Debian 13 of its own."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self._binds = {folder: "/scratch", repository: "/repository", BUILD: "/packages"}

    def attempt(self, script: str) -> tuple[int, str]:
        """Exit status of a shell script run by root, and all that it said."""
        command = debian.inside("sh", "-euc", _LAYER, "layer", script, binds=self._binds)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.returncode, done.stdout

    def run(self, script: str) -> str:
        """What a script says that has to succeed."""
        status, said = self.attempt(script)
        assert status == 0, said
        return said

    def owner(self, path: str) -> str:
        """Mode, user and group of a file, such as `640 root nuki-bridge`; a link's own."""
        return self.run(f"stat -c '%a %U %G' {path}").strip()

    def exists(self, path: str) -> bool:
        return self.attempt(f"test -e {path} || test -L {path}")[0] == 0


def built(*version: str) -> Path:
    """The package as `make deb` builds it, with `VERSION=...` of another version."""
    done = subprocess.run(["make", "deb", *version], cwd=debian.PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return debian.PROJECT / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def deb() -> Path:
    return built()


@pytest.fixture(scope="module")
def system(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    folder = tmp_path_factory.mktemp("debian")
    yield Scratch(folder, debian.repository(deb))
    subprocess.run([*debian.AS_ROOT, "rm", "-rf", "--one-file-system", folder], check=True)


def install(system: Scratch, package: str, *options: str) -> str:
    """Install a file below build/ by apt, which takes everything else from files, too."""
    return system.run(
        "echo 'deb [trusted=yes] file:/repository ./' >/etc/apt/sources.list; rm -rf /etc/apt/sources.list.d/*;"
        "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update;"
        f"apt-get -qq --yes --allow-downgrades --reinstall {' '.join(options)} install /packages/{package}"
    )


def test_while_it_is_unpacked_the_configuration_is_roots_alone(system: Scratch, deb: Path) -> None:
    system.run(f"dpkg --force-depends --unpack /packages/{deb.name}")
    assert system.owner(f"{CONFIG}.dpkg-new") == "640 root root"
    system.run("dpkg --purge nuki-bridge")


def test_installed_the_configuration_is_the_services_to_read(system: Scratch, deb: Path) -> None:
    install(system, deb.name)
    assert system.owner(CONFIG) == "640 root nuki-bridge"
    as_user = "setpriv --reuid {0} --regid {0} --clear-groups nuki-bridge check-config"
    assert system.run(as_user.format("nuki-bridge")) == f"{CONFIG} is valid\n"
    assert "Permission denied" in system.attempt(as_user.format("nogroup").replace("reuid nogroup", "reuid nobody"))[1]


def test_nobody_can_log_in_as_the_services_user(system: Scratch) -> None:
    user = system.run("getent passwd nuki-bridge").strip().split(":")
    assert int(user[2]) < 1000
    assert user[5:] == [STATE, "/usr/sbin/nologin"]
    assert system.run("passwd -S nuki-bridge").split()[1] == "L"
    assert system.run("id -Gn nuki-bridge").split() == ["nuki-bridge"]


def test_a_member_of_the_group_uses_the_command_line_and_reads_no_key(system: Scratch) -> None:
    """No broker runs here: how far a command comes shows what could be read."""
    system.run(
        "useradd anna; useradd berta; usermod --append --groups nuki-bridge anna;"
        f"install -d -m 700 -o nuki-bridge {STATE};"
        f"install -m 600 -o nuki-bridge /dev/null {STATE}/nuki-bridge.db; echo 1234 >/etc/nuki-bridge/pin;"
        "chmod 600 /etc/nuki-bridge/pin; install -m 640 -g nuki-bridge-web /dev/null /etc/nuki-bridge/web.yaml;"
        f"cp -p {CONFIG} /root/kept; echo 'locks: [{{name: door, pin_file: pin}}]' >>{CONFIG}"
    )
    as_user = "setpriv --reuid {} --regid nogroup --init-groups {}"
    status, said = system.attempt(as_user.format("anna", "nuki-bridge locks"))
    assert (status, "localhost:1883" in said) == (1, True), said
    status, said = system.attempt(as_user.format("berta", "nuki-bridge locks"))
    assert (status, 'sudo adduser "$USER" nuki-bridge' in said) == (2, True), said
    for path in (f"{STATE}/nuki-bridge.db", "/etc/nuki-bridge/pin", "/etc/nuki-bridge/web.yaml"):
        assert system.attempt(as_user.format("anna", f"cat {path}"))[0] != 0, path
    account = "mqtt: {port: 2, username: owner, password: open-sesame}"
    system.run(f"echo '{account}' | install -m 640 -g nuki-bridge /dev/stdin /etc/nuki-bridge/client.yaml")
    status, said = system.attempt(as_user.format("anna", "nuki-bridge locks"))
    assert (status, "localhost:2" in said) == (1, True), said
    assert system.attempt(as_user.format("berta", "cat /etc/nuki-bridge/client.yaml"))[0] != 0
    status, said = system.attempt(as_user.format("anna", "nuki-bridge retire --yes"))
    assert status != 0
    assert "belongs to nuki-bridge" in said or "Permission denied" in said, said
    system.run(f"cd /etc/nuki-bridge; rm -r {STATE} client.yaml pin web.yaml; mv /root/kept {CONFIG}")


def test_the_pages_user_sees_nothing_of_the_bridge(system: Scratch) -> None:
    assert system.run("id -Gn nuki-bridge-web").split() == ["nuki-bridge-web"]
    as_user = "setpriv --reuid nuki-bridge-web --regid nuki-bridge-web --clear-groups"
    assert system.attempt(f"{as_user} cat {CONFIG}")[0] != 0
    page = "/usr/lib/python3/dist-packages/nuki_bridge/web/page"
    system.run(f"test -s {page}/index.html; test -s {page}/vendor/nacl-fast.js")


def test_the_page_is_set_up_for_its_own_user_to_read(system: Scratch) -> None:
    said = system.run(
        "echo s3cret >/root/secret;"
        "nuki-bridge web setup --name door.test --certificate own-ca --guest guest --guest-password-file /root/secret"
    )
    assert "https://door.test/" in said
    assert system.owner("/etc/nuki-bridge/web.yaml") == "640 root nuki-bridge-web"
    assert system.owner("/etc/nuki-bridge/web-guest-password") == "640 root nuki-bridge-web"
    assert "web.yaml is valid" in system.run("nuki-bridge check-config")


def test_configuring_it_twice_changes_nothing(system: Scratch) -> None:
    everything = f"stat -c '%n %a %U %G %Y' /etc/nuki-bridge {CONFIG}; getent passwd; getent group"
    before = system.run(everything)
    system.run(
        "for i in 1 2; do DPKG_MAINTSCRIPT_NAME=postinst DPKG_MAINTSCRIPT_PACKAGE=nuki-bridge"
        " /var/lib/dpkg/info/nuki-bridge.postinst configure 0.0.1; done"
    )
    assert system.run(everything) == before


def test_it_is_enabled(system: Scratch) -> None:
    assert system.run("systemctl is-enabled nuki-bridge").strip() == "enabled"


def test_an_upgrade_keeps_configuration_state_and_their_modes(system: Scratch) -> None:
    system.run(
        f"echo 'mqtt: {{password: \"my-own\"}}' >{CONFIG}; install -d -m 700 -o nuki-bridge -g nuki-bridge {STATE};"
        f"echo keys >{STATE}/nuki-bridge.db"
    )
    higher = built(f"VERSION={HIGHER}")
    install(system, higher.name)
    higher.unlink()
    assert system.run("dpkg-query -W -f '${Version}' nuki-bridge") == HIGHER
    assert "my-own" in system.run(f"cat {CONFIG}")
    assert system.owner(CONFIG) == "640 root nuki-bridge"
    assert system.run(f"cat {STATE}/nuki-bridge.db") == "keys\n"


def test_a_new_configuration_in_place_of_a_changed_one_leaves_the_old_one_unreadable(
    system: Scratch, deb: Path
) -> None:
    """What dpkg puts aside holds the password."""
    system.run(
        f"dpkg-deb -R /packages/{deb.name} /tmp/other; echo '# new' >>/tmp/other{CONFIG};"
        "sed -i 's/^Version:.*/Version: 9.2/' /tmp/other/DEBIAN/control; dpkg-deb -b /tmp/other /tmp/other.deb;"
        "dpkg --force-confnew -i /tmp/other.deb"
    )
    assert "my-own" not in system.run(f"cat {CONFIG}")
    assert "my-own" in system.run(f"cat {CONFIG}.dpkg-old")
    assert [system.owner(CONFIG), system.owner(f"{CONFIG}.dpkg-old")] == ["640 root nuki-bridge"] * 2


def test_an_owner_set_by_the_administrator_stays(system: Scratch, deb: Path) -> None:
    system.run(f"dpkg-statoverride --update --add root root 0600 {CONFIG}")
    install(system, deb.name)
    assert system.owner(CONFIG) == "600 root root"
    system.run(f"dpkg-statoverride --remove {CONFIG}; chown root:adm {CONFIG}")
    install(system, deb.name)
    assert system.owner(CONFIG) == "600 root adm"


def test_a_configuration_that_is_a_link_is_left_alone(system: Scratch, deb: Path) -> None:
    system.run(f"mv {CONFIG} /root/mine.yaml; chown root:root /root/mine.yaml; ln -s /root/mine.yaml {CONFIG}")
    install(system, deb.name)
    assert system.owner("/root/mine.yaml") == "600 root root"
    assert system.run(f"readlink {CONFIG}") == "/root/mine.yaml\n"
    system.run(f"rm {CONFIG}; mv /root/mine.yaml {CONFIG}")


def test_a_unit_that_hides_the_packages_is_told_of(system: Scratch, deb: Path) -> None:
    system.run("echo '[Service]' >/etc/systemd/system/nuki-bridge.service")
    assert "hides this package's unit" in install(system, deb.name)
    system.run("rm /etc/systemd/system/nuki-bridge.service")


def test_removal_keeps_configuration_and_keys(system: Scratch) -> None:
    assert "broker" not in system.run("apt-get -qq --yes remove nuki-bridge"), "what is there belongs to what stays"
    assert not system.exists("/usr/bin/nuki-bridge")
    assert not system.exists("/usr/lib/python3/dist-packages/nuki_bridge")
    assert system.exists(CONFIG)
    assert system.run(f"cat {STATE}/nuki-bridge.db") == "keys\n"


def test_purge_removes_what_is_the_services_and_follows_no_link(system: Scratch) -> None:
    system.run(
        "mkdir /precious; echo mine >/precious/file; echo secret >/etc/nuki-bridge/mqtt-password;"
        f"ln -s /precious {STATE}/link; ln -s /precious/file {STATE}/nuki-bridge.db-wal;"
        f"chown -Rh nuki-bridge: {STATE};"
        f"mkdir {DROP_INS}; touch {DROP_INS}/secrets.conf {DROP_INS}/override.conf"
    )
    said = system.run("dpkg --purge nuki-bridge")
    assert f"{DROP_INS}/override.conf was made by hand and is left" in said
    assert system.run(f"ls {DROP_INS}") == "override.conf\n"
    system.run(f"rm -r {DROP_INS}")
    assert not system.exists(STATE)
    assert not system.exists("/etc/nuki-bridge")
    for user in ("nuki-bridge", "nuki-bridge-web"):
        assert system.attempt(f"getent passwd {user} || getent group {user}")[0] != 0
    assert system.run("cat /precious/file") == "mine\n"


def test_a_purge_without_a_broker_says_what_stays_there(system: Scratch, deb: Path) -> None:
    """With a broker the story in the machine shows it."""
    install(system, deb.name)
    make = f"import pathlib, nuki_bridge.store as s; s = s.Store(pathlib.Path('{STATE}')); s.open(); s.app_id()"
    system.run(
        f"install -d -m 700 -o nuki-bridge -g nuki-bridge {STATE}; mkdir {DROP_INS}; touch {DROP_INS}/secrets.conf;"
        f'setpriv --reuid nuki-bridge --regid nuki-bridge --clear-groups python3 -c "{make}"'
    )
    said = system.run("dpkg --purge nuki-bridge")
    assert "localhost:1883" in said
    assert "what it has published stays at the broker" in said
    assert not system.exists(STATE)
    assert not system.exists(DROP_INS)
    removed = install(system, deb.name) + system.run("apt-get -qq --yes remove nuki-bridge; dpkg --purge nuki-bridge")
    assert "stays at the broker" not in removed, "nothing was published"


def test_a_purge_clears_what_the_broker_keeps(system: Scratch, deb: Path) -> None:
    """Of this bridge, and nothing else."""
    install(system, deb.name)
    make = (
        f"import pathlib, nuki_bridge.store as s; s = s.Store(pathlib.Path('{STATE}')); s.open();"
        "from nuki_bridge.bridge.info import installation_id; print(installation_id(s.app_id()))"
    )
    port = free_port()
    kept = system.run(
        f"install -d -m 700 -o nuki-bridge -g nuki-bridge {STATE}; echo 'mqtt: {{port: {port}}}' >{CONFIG};"
        f'id=$(setpriv --reuid nuki-bridge --regid nuki-bridge --clear-groups python3 -c "{make}");'
        f'mosquitto -p {port} >/dev/null 2>&1 & broker=$!; pub() {{ mosquitto_pub -p {port} -r -t $1 -m "$2"; }};'
        "until pub nuki/bridge/state offline 2>/dev/null; do sleep 0.1; done;"
        'pub nuki/bridge/info "{\\"id\\": \\"$id\\", \\"locks\\": [{\\"name\\": \\"door\\"}]}";'
        "pub nuki/door/state locked; pub nuki/shed/state locked; apt-get -qq --yes purge nuki-bridge >&2;"
        f"mosquitto_sub -p {port} -t '#' -F 'kept %t' -W 2 || true; kill $broker"
    )
    assert re.findall("^kept (.*)$", kept, re.MULTILINE) == ["nuki/shed/state"], kept
    assert not system.exists(STATE)
    assert not system.exists("/usr/lib/python3/dist-packages/nuki_bridge")  # nothing was compiled anew on the way


def test_purge_of_a_state_directory_that_is_a_link_takes_the_link(system: Scratch, deb: Path) -> None:
    install(system, deb.name)
    system.run(f"ln -s /precious {STATE}; dpkg --purge nuki-bridge")
    assert not system.exists(STATE)
    assert system.run("cat /precious/file") == "mine\n"
