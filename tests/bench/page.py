"""The phone page on this machine itself: what a browser loads, how soon it shows the lock, how soon its motor starts.

The browser is Chromium with daemon, mosquitto and `nuki-bridge web` as processes of their own; the lock is in the
daemon.  A slow phone is a processor that Chromium slows down.  Moments of the page are taken in the page.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench import crowd
from tests.bench.child import Child
from tests.bench.table import spread
from tests.integration.daemon import CLASSIC
from tests.integration.guarded import password
from tests.page.modules import guest_paths, owner_paths, weights
from tests.page.phone import Phone, chromium
from tests.page.stage import Stage

SLOW = 4
"""How many times slower than this machine the emulated phone is."""
HOLD_MS = 750
CALM_S = 1.5
"""Between two actions: the daemon reads the lock's states and its log after each, and the page the states."""
WATCH = """
window.shown = {};
new MutationObserver(() => {
  const first = (name, is) => { if (is) window.shown[name] ??= performance.now(); };
  first("something", document.querySelector("#view h1, #view .word"));
  first("invitation", document.querySelector("#view button.primary"));
  const word = document.querySelector(".state:not(.stale) .word")?.textContent;
  if (word) first(word, true);
}).observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
"""
"""Notes when the page has shown what: its moments in ms since it was asked for, by name, and by the state's word."""
LOADED = """
const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
return all.reduce((sum, each) => sum + (each.transferSize ? each.encodedBodySize : 0), 0);
"""
"""Bytes from the network, without the heads of answers."""


def measure(actions: int, starts: int) -> dict[str, Any]:
    """So many actions each way, so many starts of each kind."""
    with tempfile.TemporaryDirectory(prefix="nuki-bridge-bench-") as temporary:
        directory = Path(temporary)
        (directory / "stage").mkdir()
        stage = Stage(directory / "stage")
        try:
            found = {**_starts(stage, directory, starts), **_actions(stage, directory, actions)}
        finally:
            stage.stop()
    return {
        "size_kib": {"guest": _kib(guest_paths()), "owner": _kib(owner_paths())},
        **found,
        "crowd": asyncio.run(crowd.measure(guest_paths())),
    }


def _kib(paths: Iterable[str]) -> float:
    return sum(weights(paths).values()) / 1024


# -- starting ---------------------------------------------------------------------------------------------------------


def _starts(stage: Stage, directory: Path, count: int) -> dict[str, Any]:
    """Milliseconds of first and warm starts, as fast as this machine and as a slow phone, and what they loaded."""
    took: dict[str, list[float]] = {}
    loaded: dict[str, list[float]] = {}
    for number in range(count):
        for slower in (1, SLOW):
            phone = chromium(stage.url, directory / f"phone-{number}-{slower}")
            try:
                _watch(phone, slower)
                for what, value in _first_and_warm(stage, phone, f"Phone {number} {slower}"):
                    (loaded if what.endswith("bytes") else took).setdefault(f"{what}{_suffix(slower)}", []).append(
                        value
                    )
            finally:
                phone.quit()
    return {
        "start_ms": {name: spread(values) for name, values in took.items()},
        "loaded": {name: spread(values) for name, values in loaded.items()},
    }


def _suffix(slower: int) -> str:
    return "" if slower == 1 else f"_{slower}x"


def _watch(phone: Phone, slower: int) -> None:
    phone.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    phone.cdp("Emulation.setCPUThrottlingRate", rate=slower)


def _first_and_warm(stage: Stage, phone: Phone, name: str) -> Iterable[tuple[str, float]]:
    """Open an invitation's link, take the key, open the page again."""
    code = stage.invite(name)["code"]
    _state(stage, "lock")
    phone.open(f"#code={code}")
    yield "invitation", _moment(phone, "invitation")
    taken = phone.driver.execute_script(
        "const at = performance.now(); document.querySelector('#view button.primary').click(); return at;"
    )
    yield "key_to_state", _moment(phone, "Locked") - taken
    yield "first_bytes", phone.run(LOADED)
    phone.run("await navigator.serviceWorker.ready;")
    time.sleep(CALM_S)
    for what, action, word in (("warm", "unlock", "Unlocked"), ("warm", "lock", "Locked")):
        # The page has kept another state: what it shows then was read from the lock.
        phone.driver.get("about:blank")
        _state(stage, action)
        phone.open()
        yield f"{what}_something", _moment(phone, "something")
        yield f"{what}_state", _moment(phone, word)
        yield f"{what}_bytes", phone.run(LOADED)


def _moment(phone: Phone, name: str) -> float:
    return float(phone.until(lambda: phone.driver.execute_script("return window.shown?.[arguments[0]]", name), 60))


def _state(stage: Stage, action: str) -> None:
    """Have the lock locked or unlocked, and what the bridge does afterwards done."""
    answer = stage.do(stage.house.ask("front/set", action))
    assert answer["status"] == "ok", answer
    time.sleep(CALM_S)


# -- the hold ---------------------------------------------------------------------------------------------------------


def _actions(stage: Stage, directory: Path, count: int) -> dict[str, Any]:
    """Milliseconds to the motor's start: from the end of the hold, and of the command line's guest, in turns."""
    took: dict[str, list[float]] = {"hold_ms": [], "hold_slow_ms": [], "command_line_ms": []}
    made = stage.request("users/add", name="Guest")
    phone = chromium(stage.url, directory / "holder")
    command = (sys.executable, "-m", "tests.bench.relayed", CLASSIC)
    try:
        phone.redeem(stage.invite("Holder")["code"])
        phone.until(lambda: phone.word() in ("Locked", "Unlocked"))
        # What the page calls when the ring is full, just before it acts.
        phone.driver.execute_script(
            "window.held = 0; navigator.vibrate = () => { window.held = performance.timeOrigin + performance.now(); }"
        )
        with Child(command, directory / "relayed.log") as guest:
            told = {"authorization_id": made["authorization_id"], "key": made["shared_key"]}
            guest.ask("use", **told, app_id=0, secret="", lock_public_key="")
            account = {"username": "guest", "password": password("guest")}
            guest.ask("reach", port=stage.house.broker.port, topic="nuki/front", **account)
            guest.ask("connect")
            _state(stage, "unlock")
            for _ in range(count):
                for name, slower in (("hold_ms", 1), ("hold_slow_ms", SLOW)):
                    took["command_line_ms"].append(_by_command_line(stage, guest))
                    phone.cdp("Emulation.setCPUThrottlingRate", rate=slower)
                    took[name].append(_by_hold(stage, phone))
            guest.ask("disconnect")
    finally:
        phone.quit()
    return {name: spread(values) for name, values in took.items()} | {"actions": count}


def _by_command_line(stage: Stage, guest: Child) -> float:
    time.sleep(CALM_S)
    start, _ = guest.ask("act", action="LOCK", linked=True)
    began = time.time() - time.monotonic() + float(start) / 1e9
    return (_motor(stage) - began) * 1000


def _by_hold(stage: Stage, phone: Phone) -> float:
    phone.says("Locked")
    time.sleep(CALM_S)
    before = stage.movements()
    phone.hold("unlock", HOLD_MS)
    phone.until(lambda: stage.movements() > before)
    phone.says("Unlocked")
    return (_motor(stage) - float(phone.driver.execute_script("return window.held")) / 1000) * 1000


def _motor(stage: Stage) -> float:
    """When the motor was started last, in Unix seconds."""
    last = next(each for each in reversed(stage.do(stage.house.audit())) if each["what"] == "motor")
    return datetime.fromisoformat(last["time"]).timestamp()


# -- what is printed --------------------------------------------------------------------------------------------------


def render(page: dict[str, Any]) -> str:
    """What was measured and how far each aim is, as text."""
    start, loaded, phones = page["start_ms"], page["loaded"], page["crowd"]
    slow = _suffix(SLOW)
    lines = [
        "The phone page, on this machine itself; medians (least-greatest)",
        f"first start: invitation shown after {_ms(start['invitation'])}, {_ms(start['invitation' + slow])} on a"
        f" processor {SLOW} times slower; from the tap for the key to the lock's state {_ms(start['key_to_state'])},"
        f" {_ms(start['key_to_state' + slow])}; {loaded['first_bytes']['median'] / 1024:.1f} KiB loaded",
        f"warm start: something shown after {_ms(start['warm_something'])}, {_ms(start['warm_something' + slow])};"
        f" the state as it is after {_ms(start['warm_state'])}, {_ms(start['warm_state' + slow])};"
        f" {loaded['warm_bytes']['max']:.0f} bytes loaded",
        f"until the motor starts: from the end of the hold {_ms(page['hold_ms'])}, on the slower processor"
        f" {_ms(page['hold_slow_ms'])}; the command line's guest, session open, {_ms(page['command_line_ms'])}",
        *(
            f"nuki-bridge web with {each['phones']} phones over TLS: {each['rss_mib']:.1f} MiB resident"
            f" ({phones[0]['rss_mib']:.1f} alone), {each['files']} open files, {each['join_cpu_ms']:.1f} ms of"
            f" processor time for each that comes and loads the page, {each['idle_cpu_percent']:.2f}% of a processor"
            f" while they only ping, {each['message_cpu_ms']:.2f} ms for a message there and back, which takes"
            f" {_ms(each['message_ms'])}"
            for each in phones[1:]
        ),
        "",
    ]
    ratio = page["hold_ms"]["median"] / page["command_line_ms"]["median"]
    aims = [
        ("guest's page in all", page["size_kib"]["guest"], 40, "KiB compressed"),
        ("owner's page in all", page["size_kib"]["owner"], 120, "KiB compressed"),
        ("end of the hold to a turning motor", ratio, 1.5, "x the command line's guest"),
        (f"nuki-bridge web with {phones[1]['phones']} phones", phones[1]["rss_mib"], 35, "MiB resident"),
    ]
    width = max(len(what) for what, *_ in aims)
    lines += [
        f"{what.ljust(width)}  {value:6.2f}  aim {aim:g} {unit}" + ("" if value <= aim else "   missed")
        for what, value, aim, unit in aims
    ]
    others = page["machine"]
    lines.append(f"something else kept {others['others']:.2f} of {others['processors']} processors busy (best is 0)")
    return "\n".join(lines)


def _ms(value: dict[str, float]) -> str:
    digits = 0 if value["median"] >= 10 else 1
    return f"{value['median']:.{digits}f} ms ({value['min']:.{digits}f}-{value['max']:.0f})"
