"""The package on Debian 13 with systemd, BlueZ and mosquitto, from its installation to its purge.

One machine, one story: each test goes on where the one before has stopped.  A person types what README.md says; what
the lock's motor did is read from the lock's own audit trail.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.debian import readme
from tests.system.debian.conftest import FILES, OWNER, built
from tests.vm import debian
from tests.vm.guest.agent import PIN
from tests.vm.machine import Machine, Watch

LOCK = "front_door"
HIGHER = "9.0.0"
TOPICS = "docs/topics.md"


@pytest.fixture(scope="module")
def machine(deb: Path) -> Iterator[Machine]:
    """Debian as it is before anybody has heard of this project, with a mirror of packages at hand."""
    shutil.rmtree(FILES, ignore_errors=True)
    shutil.copytree(debian.repository(deb), FILES / "mirror", ignore=shutil.ignore_patterns("partial", "lock"))
    shutil.copy(deb, FILES)
    with Machine(FILES) as machine:
        machine.run(
            "rm -f /etc/apt/sources.list.d/*; echo 'deb [trusted=yes] file:/run/vm/mirror ./' >/etc/apt/sources.list"
        )
        machine.run("apt-get -qq update")
        machine.run(f"useradd --create-home --shell /bin/bash {OWNER}; cp /run/vm/*.deb ~{OWNER}")
        machine.run(f"echo '{OWNER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{OWNER}")
        yield machine


@pytest.fixture(scope="module")
def everything(machine: Machine) -> Watch:
    """What comes by on MQTT: the first of the commands for topics, left running in a terminal of its own."""
    listen, *_ = readme.blocks("First commands", TOPICS)[0]
    watch = machine.watch(listen, user=OWNER)
    watch.until("nuki/bridge/state online")
    return watch


def retained(machine: Machine, topic: str, wanted: str = ".*") -> str:
    """The payload of a retained topic below `nuki/`, waited for until all of it matches `wanted`."""
    read = f"mosquitto_sub -t nuki/{topic} -C 1 -W 10"
    wait = f"until {read} | grep -xE {shlex.quote(wanted)}; do sleep 0.2; done"
    return machine.run(f"timeout 120 sh -c {shlex.quote(wait)}").strip()


def turns(machine: Machine, action: str, movement: str) -> None:
    """Do `nuki-bridge ACTION` in a shell: the motor starts for it once, and says so over MQTT."""
    retained(machine, f"{LOCK}/availability", "online")
    before = machine.movements()
    machine.run(f"sudo nuki-bridge {action} {LOCK}", user=OWNER)
    assert machine.movements() == [*before, movement]


def shown(machine: Machine, *properties: str) -> dict[str, str]:
    """Properties of the service, as systemd shows them."""
    output = machine.run("systemctl show nuki-bridge " + " ".join(f"-p {name}" for name in properties))
    return dict(line.split("=", 1) for line in output.splitlines())


def journal(machine: Machine, *filters: str) -> list[dict[str, Any]]:
    """Entries of the service in the journal, as JSON."""
    lines = machine.run(f"journalctl -u nuki-bridge -o json --no-pager {' '.join(filters)}").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


# -- first steps ------------------------------------------------------------------------------------------------------


def test_a_fresh_install_as_the_readme_says(machine: Machine) -> None:
    for command in readme.blocks("Install")[0]:
        print(machine.run(command, user=OWNER, text="y\n"))
    installed = machine.run("dpkg-query -W -f '${Package} ${Version}\\n' bluez mosquitto systemd nuki-bridge")
    assert re.search(r"^bluez 5\.82", installed, re.MULTILINE)
    assert re.search(r"^mosquitto 2\.0\.21", installed, re.MULTILINE)
    assert machine.run("cat /proc/1/comm").strip() == "systemd"
    assert machine.run("systemctl is-active nuki-bridge mosquitto bluetooth").split() == ["active"] * 3
    assert machine.run("systemctl is-enabled nuki-bridge").strip() == "enabled"
    assert retained(machine, "bridge/state") == "online"


def test_files_belong_to_root_and_to_the_service_alone(machine: Machine) -> None:
    listed = machine.run(
        "stat -c '%n %a %U %G' /etc/nuki-bridge/config.yaml /var/lib/nuki-bridge /var/lib/nuki-bridge/*"
    )
    config, state, *files = [line.split() for line in listed.splitlines()]
    assert config == ["/etc/nuki-bridge/config.yaml", "640", "root", "nuki-bridge"]
    assert state == ["/var/lib/nuki-bridge", "700", "nuki-bridge", "nuki-bridge"]
    assert files
    assert all(file[1:] == ["600", "nuki-bridge", "nuki-bridge"] for file in files), files


STRICT = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><policy context="default"><deny send_destination="org.bluez"/></policy></busconfig>
"""


def test_the_user_may_talk_to_bluez_by_the_policy_of_the_package(machine: Machine) -> None:
    """Also where BlueZ, other than Debian's, does not let everybody do so; it stays like that until the end."""
    assert machine.run("id -nG nuki-bridge").split() == ["nuki-bridge"]
    machine.run("cat >/etc/dbus-1/system.d/strict.conf; systemctl reload dbus", text=STRICT)
    ask = "busctl call org.bluez / org.freedesktop.DBus.ObjectManager GetManagedObjects"
    status, output = machine.attempt(f"runuser -u nobody -- {ask}")
    assert (status, "denied" in output) == (1, True), output
    assert "org.bluez.Adapter1" in machine.run(f"runuser -u nuki-bridge -- {ask}")


def test_pairing_as_the_readme_says(machine: Machine, everything: Watch) -> None:
    [[command]] = readme.blocks("Pair")
    pair = machine.watch(command, user=OWNER)
    everything.until("nuki/bridge/request/pair .*")
    machine.lock(hold_button=True)
    pair.until(r"\(ended with status 0\)")
    assert "1A2B3C4D" in "\n".join(pair.lines)
    everything.until(f"nuki/{LOCK}/availability online")
    everything.until(f"nuki/{LOCK}/state locked")
    [authorization] = machine.lock()["authorizations"]
    assert authorization["enabled"]


def test_the_first_commands_over_mqtt_as_the_page_says(machine: Machine, everything: Watch) -> None:
    _, *commands = readme.blocks("First commands", TOPICS)[0]
    assert [command.split()[0] for command in commands] == ["mosquitto_pub"] * 2
    # The lock is locked, and locking it again moves nothing.
    machine.run(f"sudo nuki-bridge unlock {LOCK}", user=OWNER)
    for command, action in zip(commands, ("lock", "unlock"), strict=True):
        seen = len(everything.lines)
        machine.run(command, user=OWNER)
        everything.until(
            rf'nuki/{LOCK}/result .*"action":"{action}","status":"ok","completion":"success".*', since=seen
        )
        everything.until(f"nuki/{LOCK}/state {action}ed", since=seen)
    assert machine.movements() == ["unlock: unlocking", "lock: locking", "unlock: unlocking"]
    turns(machine, "lock", "lock: locking")


def test_the_shell_tells_how_things_are(machine: Machine) -> None:
    assert LOCK in machine.run("sudo nuki-bridge status", user=OWNER)
    assert LOCK in machine.run("sudo nuki-bridge locks", user=OWNER)
    assert machine.attempt("nuki-bridge status", user=OWNER)[0] != 0
    assert machine.run("sudo nuki-bridge check-config", user=OWNER)


def test_a_member_of_the_group_needs_no_sudo(machine: Machine) -> None:
    machine.run(f"usermod --append --groups nuki-bridge {OWNER}")
    assert LOCK in machine.run("nuki-bridge status", user=OWNER)
    assert machine.run("nuki-bridge __complete status ''", user=OWNER).split() == [LOCK]
    assert machine.attempt("cat /var/lib/nuki-bridge/nuki-bridge.db", user=OWNER)[0] != 0


# -- accounts, page and guests ----------------------------------------------------------------------------------------

PASSWORDS = {"nuki": "open-door", "owner": "my-own", "home": "at-home", "guest": "come-in"}


def test_accounts_as_the_readme_says(machine: Machine) -> None:
    """From then on the broker knows nobody without an account, and the shell goes on by the bridge's."""
    commands, reload = readme.blocks("Accounts")
    machine.run("cp -a /etc/nuki-bridge/config.yaml /root")
    for command in commands:
        account = command.rpartition(" ")[2]
        typed = PASSWORDS["nuki"] if "/dev/stdin" in command else PASSWORDS.get(account, "")
        machine.run(command, user=OWNER, text=f"{typed}\n{typed}\n" if account in PASSWORDS else f"{typed}\n")
    [lines] = readme.blocks("Accounts", kind="yaml")
    machine.run("cat >>/etc/nuki-bridge/config.yaml", text="\n".join(["", *lines, ""]))
    for command in reload:
        machine.run(command, user=OWNER)
    machine.until(lambda: machine.attempt("nuki-bridge health")[0] == 0, "the bridge at the broker with accounts")
    status, told = machine.attempt("mosquitto_sub -t nuki/bridge/state -C 1 -W 10", user=OWNER)
    assert (status != 0, "online" in told) == (True, False), told
    mine = f"mosquitto_sub -u owner -P {PASSWORDS['owner']} -t nuki/bridge/state -C 1 -W 10"
    assert machine.run(mine, user=OWNER).strip() == "online"
    files = machine.run("stat -c '%a %U %G' /etc/nuki-bridge/mqtt-password /etc/mosquitto/nuki-bridge.passwd")
    assert files.split() == ["640", "root", "nuki-bridge", "640", "root", "mosquitto"]


def test_the_first_commands_as_the_readme_says(machine: Machine) -> None:
    [[*commands, last]] = readme.blocks("First commands")
    assert last == "sudo nuki-bridge watch"
    watch = machine.watch(last, user=OWNER)
    watch.until(f".*  {LOCK}  .*")
    before = machine.movements()
    for command in commands:
        assert LOCK in machine.run(command, user=OWNER), command
    # It was locked already.
    assert [each.partition(":")[0] for each in machine.movements()[len(before) :]] == ["unlock", "unlatch"]
    watch.until(f".*  {LOCK}  .*unlatch.*")


def test_the_page_and_the_first_guest_as_the_readme_says(machine: Machine) -> None:
    """Each of the three lines, with what a person types; then the page is there, and a link to it in the letter."""
    [[pin, page, guest]] = readme.blocks("The page, and the first guest")
    typed(machine, pin, "PIN", str(PIN))
    answers = (
        "find this computer?",
        "",
        "Number?",
        "own-ca",
        "account at the broker?",
        "",
        "password",
        PASSWORDS["guest"],
    )
    told = typed(machine, page, *answers)
    found = re.search(r"^The page: (https://\S+)/", told, re.MULTILINE)
    assert found, told
    assert "Not right yet" not in told
    machine.until(lambda: machine.attempt("systemctl is-active nuki-bridge-web")[0] == 0, "the page's server")
    machine.run("systemctl reload nuki-bridge")
    letter = machine.run(guest, user=OWNER)
    assert f"{found[1]}/#code=" in letter
    assert "Anna" in letter
    fetch = "import ssl, urllib.request as u; c = ssl._create_unverified_context(); "
    fetch += "print(u.urlopen('https://localhost/', context=c).status)"
    assert machine.run(f'python3 -c "{fetch}"').strip() == "200"
    machine.run("sudo nuki-bridge invite revoke Anna", user=OWNER)


def test_all_of_that_can_be_undone(machine: Machine, everything: Watch) -> None:
    """As the story goes on without accounts."""
    machine.run("systemctl stop nuki-bridge-web; rm /etc/nuki-bridge/web* /etc/nuki-bridge/mqtt-password")
    machine.run("rm /etc/mosquitto/conf.d/nuki-bridge.conf /etc/mosquitto/nuki-bridge.*")
    machine.run("mv /root/config.yaml /etc/nuki-bridge; systemctl restart mosquitto; systemctl reload nuki-bridge")
    assert retained(machine, "bridge/state", "online") == "online"
    machine.again(everything)
    turns(machine, "lock", "lock: locking")


def typed(machine: Machine, command: str, *dialogue: str) -> str:
    """What a terminal shows of a command that asks: question and answer in turns."""
    words = " ".join(shlex.quote(each) for each in (command, *dialogue))
    return machine.run(f"python3 /run/project/tests/vm/guest/typist.py {words}", user=OWNER)


# -- the service ------------------------------------------------------------------------------------------------------


def test_systemd_shows_at_a_glance_how_it_is(machine: Machine) -> None:
    status = shown(machine, "StatusText", "Type")
    assert status["Type"] == "notify"
    assert re.fullmatch(f"1 lock: {LOCK} linked; broker connected.*; adapter hci0", status["StatusText"]), status
    assert status["StatusText"] in machine.run("systemctl status --no-pager nuki-bridge")


def test_the_journal_is_searched_by_lock_and_transaction(machine: Machine, everything: Watch) -> None:
    seen = len(everything.lines)
    machine.run(
        f"""mosquitto_pub -t nuki/{LOCK}/set -m '{{"action": "unlock", "transaction": "story-7"}}'""", user=OWNER
    )
    everything.until(rf"nuki/{LOCK}/result .*story-7.*", since=seen)
    assert journal(machine, f"NUKI_LOCK={LOCK}")
    entries = journal(machine, "NUKI_TRANSACTION=story-7")
    assert {entry["NUKI_LOCK"] for entry in entries} == {LOCK}
    assert {entry["PRIORITY"] for entry in entries} <= set("3456")
    turns(machine, "lock", "lock: locking")


def test_where_bluetoothd_offers_it_the_scan_is_passive_as_the_guide_says(machine: Machine, everything: Watch) -> None:
    """Only there: BlueZ has its advertisement monitors still among what is experimental."""
    drop_in, restart = "/etc/systemd/system/bluetooth.service.d/override.conf", "systemctl restart bluetooth"
    assert machine.scan() == "active"
    machine.run(f"install -D /dev/stdin {drop_in}; systemctl daemon-reload", text=readme.override("docs/battery.md"))
    machine.run(restart)
    machine.until(lambda: machine.scan() == "passive", "a passive scan")
    retained(machine, f"{LOCK}/availability", "online")
    seen = len(everything.lines)
    machine.lock(turn="unlocked")
    everything.until(f"nuki/{LOCK}/state unlocked", since=seen)
    turns(machine, "lock", "lock: locking")
    machine.run(f"rm {drop_in}; systemctl daemon-reload; {restart}")
    machine.until(lambda: machine.scan() == "active", "an active scan")
    retained(machine, f"{LOCK}/availability", "online")


def test_it_is_hardened(machine: Machine) -> None:
    report = machine.run("systemd-analyze security nuki-bridge --no-pager")
    found = re.search(r"Overall exposure level for nuki-bridge.service: ([\d.]+)", report)
    assert found, report
    assert float(found[1]) <= 1.5, report


BROKER = """
per_listener_settings true
listener 1883 localhost
allow_anonymous true
listener 1884 localhost
allow_anonymous false
password_file /etc/mosquitto/passwd
"""
CONFIG = """
mqtt: {port: 1884, username: nuki, password_file: mqtt-password}
locks: [{name: front_door, pin_file: front_door-pin}]
"""


def test_secrets_come_as_credentials(machine: Machine) -> None:
    """Broker's password and lock's PIN are in files that only root can read, and in no other place."""
    machine.run("cp -a /etc/nuki-bridge/config.yaml /root")
    for name, secret in (("mqtt-password", "open-sesame"), ("front_door-pin", str(PIN))):
        machine.run(f"umask 077; cat >/etc/nuki-bridge/{name}", text=secret)
    offered = re.findall(r"^#(LoadCredential=.*)$", machine.run("systemctl cat nuki-bridge"), re.MULTILINE)
    files = [line.split(":")[1] for line in offered]
    assert files == ["/etc/nuki-bridge/mqtt-password", "/etc/nuki-bridge/front_door-pin"]
    machine.run("systemctl edit --stdin nuki-bridge", text="\n".join(["[Service]", *offered, ""]))
    machine.run("cat >/etc/nuki-bridge/config.yaml", text=CONFIG)
    machine.run("mosquitto_passwd -b -c /etc/mosquitto/passwd nuki open-sesame; chown mosquitto: /etc/mosquitto/passwd")
    machine.run("cat >/etc/mosquitto/conf.d/local.conf", text=BROKER)
    machine.run("systemctl restart mosquitto nuki-bridge")
    retained(machine, f"{LOCK}/availability", "online")
    users = json.loads(machine.run(f"nuki-bridge --json users {LOCK} --broker mqtt://localhost:1883/nuki"))
    assert [user["self"] for user in users] == [True]
    turns(machine, "unlock --broker mqtt://localhost/nuki", "unlock: unlocking")
    # Only the running service has them then, where root finds them.
    machine.run("mkdir /root/kept; mv /etc/nuki-bridge/mqtt-password /etc/nuki-bridge/front_door-pin /root/kept")
    assert LOCK in machine.run("sudo nuki-bridge status", user=OWNER)
    machine.run("mv /root/kept/* /etc/nuki-bridge")
    for where in ("journalctl --no-pager", "cat /proc/[0-9]*/cmdline", "mosquitto_sub -t '#' -v -W 2"):
        assert "open-sesame" not in machine.attempt(where)[1]
    machine.run("rm /etc/mosquitto/conf.d/local.conf; mv /root/config.yaml /etc/nuki-bridge")
    machine.run("systemctl revert nuki-bridge; systemctl restart mosquitto nuki-bridge")
    turns(machine, "lock", "lock: locking")


@pytest.fixture(scope="module")
def log(machine: Machine) -> Watch:
    """The service's journal from now on, without the times."""
    watch = machine.watch("journalctl -u nuki-bridge -f -n 1 -o cat")
    watch.until(".*")
    return watch


def reload(machine: Machine, log: Watch, says: str) -> None:
    """`systemctl reload`, until the log has said so."""
    seen = len(log.lines)
    machine.run("systemctl reload nuki-bridge")
    log.until(says, since=seen)


def test_a_reload_keeps_the_links(machine: Machine, everything: Watch, log: Watch) -> None:
    """SIGHUP takes the changed configuration into use; the lock's link and the broker's stay."""
    audit, seen, pid = len(machine.audit()), len(everything.lines), shown(machine, "MainPID")
    machine.run("cp -a /etc/nuki-bridge/config.yaml /root")
    machine.run("cat >>/etc/nuki-bridge/config.yaml", text=f"locks: [{{name: {LOCK}, actions: [lock]}}]\n")
    reload(machine, log, f"the configuration has been read again: .*{LOCK}.*")
    status, refused = machine.attempt(f"nuki-bridge unlock {LOCK}")
    assert (status, "unlock" in refused) == (1, True), refused
    machine.run("mv /root/config.yaml /etc/nuki-bridge")
    reload(machine, log, f"the configuration has been read again: .*{LOCK}.*")
    turns(machine, "unlock", "unlock: unlocking")
    turns(machine, "lock", "lock: locking")
    assert shown(machine, "MainPID") == pid
    assert "disconnected" not in {entry["what"] for entry in machine.audit()[audit:]}
    assert "nuki/bridge/state offline" not in everything.lines[seen:]
    assert f"nuki/{LOCK}/availability offline" not in everything.lines[seen:]


def test_a_wrong_configuration_changes_nothing_at_a_reload(machine: Machine, log: Watch) -> None:
    seen = len(log.lines)
    machine.run("cp -a /etc/nuki-bridge/config.yaml /root; echo 'mqtt: {prot: 1}' >>/etc/nuki-bridge/config.yaml")
    status, wrong = machine.attempt("sudo nuki-bridge check-config", user=OWNER)
    assert (status, "mqtt.prot" in wrong) == (2, True), wrong
    reload(machine, log, "the configuration has mistakes; the one before stays in use")
    assert any("mqtt.prot" in line for line in log.lines[seen:])
    turns(machine, "unlock --broker mqtt://localhost/nuki", "unlock: unlocking")
    machine.run("mv /root/config.yaml /etc/nuki-bridge")
    reload(machine, log, "the configuration has been read again: .*")
    turns(machine, "lock", "lock: locking")


def test_it_stops_within_three_seconds_and_says_so(machine: Machine, everything: Watch) -> None:
    seen = len(everything.lines)
    machine.run("systemctl stop nuki-bridge")
    stopped = shown(
        machine,
        "Result",
        "ExecMainStatus",
        "StateChangeTimestampMonotonic",
        "InactiveEnterTimestampMonotonic",
        "ActiveExitTimestampMonotonic",
    )
    assert (stopped["Result"], stopped["ExecMainStatus"]) == ("success", "0")
    took_us = int(stopped["InactiveEnterTimestampMonotonic"]) - int(stopped["ActiveExitTimestampMonotonic"])
    assert took_us < 3_000_000
    everything.until(f"nuki/{LOCK}/availability offline", since=seen)
    everything.until("nuki/bridge/state offline", since=seen)
    # bluetoothd itself takes 2 s to end a link.
    machine.until(lambda: machine.lock()["links"] == 0, "the end of the lock's link")
    machine.run("systemctl start nuki-bridge")
    turns(machine, "unlock", "unlock: unlocking")


# -- when things happen to the computer -------------------------------------------------------------------------------


def test_after_a_reboot_it_works_again(machine: Machine, everything: Watch) -> None:
    print(f"rebooted in {machine.reboot():.0f} s")
    assert machine.run("systemctl is-system-running --wait || true").strip() == "running"
    turns(machine, "lock", "lock: locking")
    machine.again(everything)


def test_an_upgrade_keeps_what_was_paired(machine: Machine) -> None:
    shutil.copy(built(HIGHER), FILES)
    before, running = machine.lock()["authorizations"], shown(machine, "InvocationID")
    machine.run("echo '# by hand' >>/etc/nuki-bridge/config.yaml")
    machine.run(f"cp /run/vm/nuki-bridge_{HIGHER}_all.deb ~{OWNER}")
    print(machine.run(f"sudo apt install ./nuki-bridge_{HIGHER}_all.deb", user=OWNER, text="y\n"))
    assert machine.run("dpkg-query -W -f '${Version}' nuki-bridge") == HIGHER
    assert shown(machine, "InvocationID") != running
    assert "# by hand" in machine.run("cat /etc/nuki-bridge/config.yaml")
    assert machine.run("stat -c '%a %U %G' /etc/nuki-bridge/config.yaml").split() == ["640", "root", "nuki-bridge"]
    turns(machine, "unlock", "unlock: unlocking")
    turns(machine, "lock", "lock: locking")
    after = machine.lock()["authorizations"]
    assert [each["id"] for each in after] == [each["id"] for each in before]


def test_killed_while_the_motor_turns_it_does_not_turn_twice(machine: Machine, everything: Watch) -> None:
    machine.lock(motor_s=5)
    before, audit, seen = machine.movements(), len(machine.audit()), len(everything.lines)
    machine.run(f"mosquitto_pub -q 1 -t nuki/{LOCK}/set -m unlock", user=OWNER)
    everything.until(f"nuki/{LOCK}/state unlocking", since=seen)
    machine.run("kill -9 $(systemctl show nuki-bridge -p MainPID --value)")
    everything.until("nuki/bridge/state offline", since=seen)
    everything.until("nuki/bridge/state online", since=seen)
    everything.until(f"nuki/{LOCK}/state unlocked", since=seen)
    assert machine.movements() == [*before, "unlock: unlocking"]
    asked = [entry["detail"] for entry in machine.audit()[audit:] if entry["what"] == "action_received"]
    assert asked == ["unlock"]
    machine.lock(motor_s=1)
    turns(machine, "lock", "lock: locking")


def test_a_process_that_stands_still_is_started_again_by_the_watchdog(machine: Machine, everything: Watch) -> None:
    before, seen = shown(machine, "NRestarts"), len(everything.lines)
    machine.run("systemctl kill -s STOP nuki-bridge")
    everything.until("nuki/bridge/state offline", since=seen)
    everything.until("nuki/bridge/state online", since=seen)
    assert int(shown(machine, "NRestarts")["NRestarts"]) == int(before["NRestarts"]) + 1
    assert "watchdog" in machine.run("journalctl -u nuki-bridge --no-pager").lower()
    turns(machine, "unlock", "unlock: unlocking")


# -- the end ----------------------------------------------------------------------------------------------------------


def test_removed_it_keeps_what_it_knew(machine: Machine) -> None:
    stop, retire, remove = readme.blocks("Uninstall")[0]
    machine.run(stop, user=OWNER)
    assert retained(machine, "bridge/state") == "offline"
    typed(machine, retire, "Clear it? [y/N]", "y")
    print(machine.run(remove, user=OWNER, text="y\n"))
    assert machine.attempt("systemctl is-active nuki-bridge")[0] != 0
    kept = machine.attempt("mosquitto_sub -t nuki/# -t homeassistant/# -v --retained-only -W 3")[1]
    assert "nuki/" not in kept
    assert "homeassistant/" not in kept
    assert machine.run("ls /var/lib/nuki-bridge /etc/nuki-bridge/config.yaml")
    print(machine.run(f"sudo apt install ./nuki-bridge_{HIGHER}_all.deb", user=OWNER, text="y\n"))
    turns(machine, "lock", "lock: locking")


def test_purged_it_leaves_nothing(machine: Machine) -> None:
    assert "nuki/bridge/info" in machine.attempt("mosquitto_sub -t 'nuki/#' -t 'homeassistant/#' -F %t -W 2")[1]
    print(machine.run(readme.inline("sudo apt purge nuki-bridge"), user=OWNER, text="y\n"))
    kept = machine.attempt("mosquitto_sub -t 'nuki/#' -t 'homeassistant/#' -F %t -W 2")[1]
    assert not re.search("^(nuki|homeassistant)/", kept, re.MULTILINE), kept
    ours = " ".join(f"-not -path '{path}/*'" for path in ("/home", "/run", "/opt/virtual-lock", "/var/*/virtual-lock"))
    left = machine.run(f"find / -xdev -name '*nuki*' {ours}")
    assert left.split() == []
    for user in ("nuki-bridge", "nuki-bridge-web"):
        assert machine.attempt(f"getent passwd {user}")[0] != 0
    assert "nuki" not in machine.run("systemctl list-unit-files --no-pager")
    assert "nuki" not in machine.run("systemctl --failed --no-pager")
