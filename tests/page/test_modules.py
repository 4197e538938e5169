"""The page's modules in node: types, known answers, the list of files that work offline, words in both languages."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nuki_bridge.web.files import TWEETNACL, TWEETNACL_WHOLE, load
from nuki_bridge.web.lean import lean
from tests.page.known import CHECKS, NACL, NPM, PAGE, known, vectors
from tests.page.modules import guest_files, guest_paths, imported, node, weights

GUEST_SIZE = 40 * 1024
"""Bytes that a guest's page may have, each file compressed as it travels, tweetnacl and icons among them."""


def test_modules_compute_the_known_answers() -> None:
    count = node(
        f"const checks = {CHECKS}\nconsole.log(await checks(load, {json.dumps(vectors())}, {json.dumps(known())}));"
    )
    assert count > 200


@pytest.mark.parametrize(
    ("files", "library"),
    [(["app.js", "first.js"], ["es2023", "dom", "dom.iterable"]), (["sw.js"], ["es2023", "webworker"])],
)
def test_types_are_sound(tmp_path: Path, files: list[str], library: list[str]) -> None:
    options = {
        "allowJs": True, "checkJs": True, "strict": True, "noEmit": True, "target": "es2023", "module": "es2022",
        "moduleResolution": "bundler", "lib": library, "types": [], "skipLibCheck": True,
    }  # fmt: skip
    config = tmp_path / "tsconfig.json"
    config.write_text(json.dumps({"compilerOptions": options, "files": [str(PAGE / name) for name in files]}))
    done = subprocess.run([NPM / ".bin" / "tsc", "-p", config], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def scripts() -> list[Path]:
    """All scripts of ours."""
    return [path for path in PAGE.rglob("*.js") if path != NACL]


def test_all_that_a_guest_needs_works_offline() -> None:
    listed = re.search(r"const FILES = \[(.*?)\];", (PAGE / "sw.js").read_text(), re.DOTALL)
    assert listed
    files = set(re.findall(r'"([^"]+)"', listed[1]))
    icons = {f"icons/{path.name}" for path in (PAGE / "icons").iterdir()}
    assert files == guest_files() | icons | {"./", "vendor/nacl-fast.js"}


LATER = imported("views/pair.js")
"""What is loaded when it is wanted, with all that it needs."""


def test_what_is_loaded_later_works_offline_and_weighs_a_guest_nothing() -> None:
    listed = re.search(r"const LATER = \[(.*?)\];", (PAGE / "sw.js").read_text(), re.DOTALL)
    assert listed
    later = set(re.findall(r'"([^"]+)"', listed[1]))
    assert later == LATER - guest_files()
    assert {"views/near.js", "views/pair.js", "bluetooth.js", "pairing.js"} <= later


def test_words_of_bluetooth_are_there_in_both_languages() -> None:
    table, guest = node(
        "const guest = {...(await load('texts.js')).table}; const { TABLE } = await load('texts_bluetooth.js');"
        "console.log(JSON.stringify([TABLE, guest]));"
    )
    for key, words in table.items():
        assert len(list(filter(None, words))) == 2, key
        names = [sorted(re.findall(r"\{(\w+)\}", each)) for each in words]
        assert names[0] == names[1], key
    assert not set(table) & set(guest)
    scripts = "\n".join((PAGE / name).read_text() for name in LATER - guest_files())
    used = set(re.findall(r'"((?:near|pair)\.[a-z0-9.-]+)"', scripts)) | set(
        re.findall(r'\bt\("([a-z][a-z.-]+)"', scripts)
    )
    assert used <= set(table) | set(guest), used - set(table) - set(guest)
    thrown = set(re.findall(r'Problem\("([a-z_]+)"', scripts)) | set(
        re.findall(r'"(not_reached|wrong_lock|not_chosen)"', scripts)
    )
    assert [each for each in thrown if not {f"error.{each}", f"pair.error.{each}"} & (set(table) | set(guest))] == []


def test_a_guests_page_is_small() -> None:
    sizes = weights(guest_paths())
    assert sum(sizes.values()) <= GUEST_SIZE, sizes


def test_modules_travel_as_one_script_with_all_their_names(tmp_path: Path) -> None:
    """It is sound, no name is there twice, and whatever comes later gets its names from there."""
    inside = imported("app.js")
    served = {path: file.plain.decode() for path, file in load().items() if path.endswith(".js")}
    for path, script in served.items():
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_text(script)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    subprocess.run(["node", "--check", tmp_path / "app.js"], check=True, capture_output=True, timeout=60)
    assert not re.search(r"^import ", served["/app.js"], re.MULTILINE)
    assert set(re.findall(r"import\(\"\./(.*?)\"\)", served["/app.js"])) == {
        "views/near.js", "views/pair.js", "owner/main.js",
    }  # fmt: skip
    [given] = re.findall(r"^export \{ (.*) \};$", served["/app.js"], re.MULTILINE)
    names = given.split(", ")
    assert len(names) == len(set(names))
    for path in {path for path in served if path[1:] not in inside} - {
        "/app.js",
        "/first.js",
        "/sw.js",
        TWEETNACL,
        TWEETNACL_WHOLE,
    }:
        for what, name in re.findall(
            r'^import (?:(\{[^}]*\}|\* as \w+) from )?"(\.[^"]+)";', served[path], re.MULTILINE
        ):
            target = str((tmp_path / path[1:]).parent.joinpath(name).resolve().relative_to(tmp_path))
            assert target not in inside - {"app.js"}, path
            if target == "app.js":
                wanted = {each.split(" as ")[0].strip() for each in what.strip("{}").split(",") if each.strip()}
                assert wanted <= set(names), path
    [listed] = re.findall(r"const FILES = \[(.*?)\];", served["/sw.js"], re.DOTALL)
    assert {name for name in re.findall(r'"([^"]+)"', listed) if name in inside} == {"app.js"}


def test_tweetnacl_as_it_travels_computes_the_same(tmp_path: Path) -> None:
    """For all that it has left, with inputs of many sizes; signatures are gone."""
    served = load()[TWEETNACL_WHOLE].plain
    assert served != NACL.read_bytes()
    (tmp_path / "nacl.cjs").write_bytes(served)
    results = node(
        f"const lean = createRequire(import.meta.url)({str(tmp_path / 'nacl.cjs')!r}), whole = nacl;"
        """
        const all = (nacl, size) => {
          const data = (length, step) =>
            Uint8Array.from({ length }, (_, place) => (place * step + size * 7 + 3) & 255);
          const message = data(size, 31), nonce = data(24, 5), key = data(32, 11), mine = data(32, 13);
          const theirs = nacl.scalarMult.base(key), sealed = nacl.secretbox(message, nonce, key);
          const boxed = nacl.box(message, nonce, theirs, mine);
          const spoilt = sealed.map((byte, place) => byte ^ (place === size ? 1 : 0));
          return [
            nacl.hash(message), sealed, nacl.secretbox.open(sealed, nonce, key),
            nacl.secretbox.open(spoilt, nonce, key), boxed,
            nacl.box.open(boxed, nonce, nacl.scalarMult.base(mine), key), nacl.box.before(theirs, mine),
            nacl.scalarMult(mine, theirs), nacl.box.keyPair.fromSecretKey(key).publicKey, nacl.verify(message, message),
          ].map(String);
        };
        const sizes = [0, 1, 15, 16, 17, 63, 64, 111, 112, 127, 128, 129, 300];
        const names = (nacl) => Object.keys(nacl).sort();
        console.log(JSON.stringify({
          wrong: sizes.filter((size) => all(lean, size).join() !== all(whole, size).join()),
          gone: names(whole).filter((name) => !names(lean).includes(name)),
          random: lean.randomBytes(32).some((byte) => byte),
        }));
        """
    )
    assert results == {"wrong": [], "gone": ["lowlevel", "sign"], "random": True}


def test_tweetnacl_of_a_guest_computes_the_same_and_the_whole_one_adds_the_curve(tmp_path: Path) -> None:
    served = load()
    for name, path in (("guest", TWEETNACL), ("whole", TWEETNACL_WHOLE)):
        (tmp_path / f"{name}.js").write_bytes(served[path].plain)
    results = node(
        f"const [guest, more] = ['guest', 'whole'].map((name) => {str(tmp_path)!r} + '/' + name + '.js');"
        """
        const whole = nacl, files = await import('node:fs');
        const page = { crypto, Uint8Array };  // as in a browser: the second script adds to what the first has set
        page.self = page;
        const add = (file) => new Function('self', 'module', files.readFileSync(file, 'utf8'))(page, undefined);
        const data = (length, step) => Uint8Array.from({ length }, (_, place) => (place * step + length * 7 + 3) & 255);
        const all = (nacl) => [0, 1, 15, 16, 17, 63, 64, 111, 112, 127, 128, 129, 300].flatMap((size) => {
          const message = data(size, 31), nonce = data(24, 5), key = data(32, 11);
          const sealed = nacl.secretbox(message, nonce, key);
          const spoilt = sealed.map((byte, place) => byte ^ (place === size ? 1 : 0));
          return [nacl.hash(message), sealed, nacl.secretbox.open(sealed, nonce, key),
            nacl.secretbox.open(spoilt, nonce, key)].map(String);
        });
        add(guest);
        const before = [all(page.nacl).join() === all(whole).join(), Object.keys(page.nacl).sort()];
        add(more);
        const point = data(32, 9);
        console.log(JSON.stringify([...before, all(page.nacl).join() === all(whole).join(),
          String(page.nacl.scalarMult.base(point)) === String(whole.scalarMult.base(point))]));
        """
    )
    assert results == [True, ["hash", "randomBytes", "secretbox", "setPRNG", "verify"], True, True]


def test_who_pairs_has_all_of_tweetnacl_also_without_a_network() -> None:
    served = load()
    [later] = re.findall(r"const LATER = \[(.*?)\];", served["/sw.js"].plain.decode(), re.DOTALL)
    assert TWEETNACL_WHOLE[1:] in re.findall(r'"([^"]+)"', later)
    assert f'"./{TWEETNACL_WHOLE[1:]}"' in served["/pairing.js"].plain.decode()
    assert len(served[TWEETNACL].packed or b"") + 2000 < len(served[TWEETNACL_WHOLE].packed or b"")


@pytest.mark.parametrize(
    ("network", "told", "sessions"),
    [
        ("ends the session after the challenge", {"step": "done", "sent": 1}, 2),
        ("ends every session after the challenge", {"step": "failed", "code": "link_over", "sent": 0}, None),
        ("answers the action with link_over", {"step": "unknown", "sent": 1}, None),
        ("answers the challenge with link_over", {"step": "failed", "code": "link_over", "sent": 0}, None),
        ("answers the action with link_over after it was accepted", {"step": "unknown", "sent": 1}, None),
    ],
)
def test_an_action_is_sent_over_another_link_only_if_nothing_was_sent(
    network: str, told: dict[str, Any], sessions: int | None
) -> None:
    """A word from the network, whatever it says, never has an action sent again."""
    found = node(
        f"const network = {json.dumps(network)};"
        """
        globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
        const wait = setTimeout, soon = (work, ms) => wait(work, Math.min(ms, 20));
        globalThis.setTimeout = soon;
        const [{ Door }, { COMMAND }, { encryptedFrame, openFrame }] =
          await Promise.all(['door.js', 'messages.js', 'frames.js'].map(load));
        const key = new Uint8Array(32).fill(17), subscribed = new Map(), sessions = new Set();
        let sent = 0, ended = 0;
        const say = (topic, payload) => subscribed.get(topic)?.({ topic, payload, retain: false });
        const mqtt = {
          closed: false, over: new Promise(() => {}),
          async subscribe(topic, take) { subscribed.set(topic, take); },
          async unsubscribe(...topics) { for (const each of topics) subscribed.delete(each); },
          async publish(topic, frame) {
            const session = topic.replace(/\\/write$/, ''), { command, payload } = openFrame(frame, key);
            const answer = (command, payload) => say(`${session}/indicate`, encryptedFrame(5, command, payload, key));
            const refuse = (error) => say(`${session}/error`, new TextEncoder().encode(JSON.stringify({ error })));
            sessions.add(session);
            const wanted = command === COMMAND.requestData ? payload[0] | (payload[1] << 8) : 0;
            queueMicrotask(() => {
              if (wanted === COMMAND.challenge) {
                if (network === 'answers the challenge with link_over') return refuse('link_over');
                answer(COMMAND.challenge, new Uint8Array(32));
                const ends = network.includes('ends the session') && !ended++;
                if (ends || network.includes('every session')) refuse('timeout');
              } else if (command === COMMAND.lockAction) {
                sent++;
                if (network === 'answers the action with link_over') return refuse('link_over');
                answer(COMMAND.status, Uint8Array.of(1));
                if (network.includes('accepted')) return refuse('link_over');
                answer(COMMAND.status, Uint8Array.of(0));
              }
            });
          },
        };
        const credential = { authorization_id: 5, shared_key: '11'.repeat(32), remote: true, base_topic: 'nuki',
          lock: { name: 'front', nuki_id: '00000001', type: 'smartlock' } };
        const door = new Door({ id: 'a', credential, states: null, at: 0 }, { now: async () => mqtt },
          { remember: async () => {} });
        const prepared = door.prepare();
        await prepared.catch(() => {});
        await door.act('unlock', prepared);
        const used = sessions.size;
        await new Promise((resolve) => wait(resolve, 200));
        console.log(JSON.stringify([{ ...door.doing, action: undefined, sent }, used]));
        process.exit();
        """
    )
    assert found[0] == told
    assert sessions is None or found[1] >= sessions


def test_pings_that_are_under_way_together_each_get_their_answer() -> None:
    """Several events say at once that somebody looks at the page again; only a ping without an answer ends it."""
    found = node(
        """
        const sockets = [];
        globalThis.WebSocket = class {
          static OPEN = 1;
          readyState = 1;
          constructor() { sockets.push(this); setTimeout(() => this.onopen()); }
          send(bytes) { this[bytes[0] >> 4]?.(); }
          1() { setTimeout(() => this.answer(0x20, 3, 0, 0, 0)); }
          12() { if (this.answers-- > 0) setTimeout(() => this.answer(0xd0, 0)); }
          answer(...bytes) { this.onmessage?.({ data: Uint8Array.from(bytes).buffer }); }
          close() {}
        };
        const { Mqtt } = await load('mqtt.js');
        const told = async (answers, work) => {
          const mqtt = new Mqtt();
          await mqtt.open('ws://localhost/mqtt');
          sockets.at(-1).answers = answers;
          const ends = await Promise.allSettled(await work(mqtt));
          const code = mqtt.closed?.code ?? '';
          mqtt.close();
          return [...ends.map((each) => each.reason?.code ?? 'answered'), code];
        };
        const pings = (count) => (mqtt) => Array.from({ length: count }, () => mqtt.ping(200));
        console.log(JSON.stringify({
          one: await told(1, pings(1)), three: await told(3, pings(3)), short: await told(2, pings(3)),
          after: await told(2, async (mqtt) => { await mqtt.ping(200); return pings(1)(mqtt); }),
          none: await told(0, pings(1)),
        }));
        """
    )
    assert found == {
        "one": ["answered", ""],
        "three": ["answered", "answered", "answered", ""],
        "short": ["answered", "answered", "offline", "offline"],
        "after": ["answered", ""],
        "none": ["offline", "offline"],
    }


def test_nothing_is_drawn_anew_while_a_hand_is_on_a_control() -> None:
    """It is drawn once, right after the click, and before long also if none comes."""
    found = node(
        """
        globalThis.document = new EventTarget();
        const timers = new Map();
        let now = 0, count = 0;
        globalThis.setTimeout = (work, ms) => (timers.set(++count, [now + ms, work]), count);
        globalThis.clearTimeout = (id) => timers.delete(id);
        const { calm, calmed } = await load('calm.js');
        const fire = (type, more = {}, control = {}) => {
          const event = Object.assign(new Event(type), more);
          Object.defineProperty(event, 'target', { value: { closest: () => control } });
          document.dispatchEvent(event);
        };
        const pass = async (ms) => {
          now += ms;
          for (const [id, [at, work]] of timers) if (at <= now) timers.delete(id), work();
          await new Promise(setImmediate);
        };
        // What has been drawn after each step: a number is time that passes, in ms, and "draw" is what views ask for.
        const after = async (...steps) => {
          let drawn = 0, isCalm = false;
          const draw = calm(() => drawn++), told = [];
          for (const step of steps) {
            if (typeof step === 'number') await pass(step);
            else if (step === 'draw') draw();
            else fire(...[step].flat());
            told.push(drawn);
          }
          calmed().then(() => (isCalm = true));
          await pass(10000);
          return [...told.slice(-3), isCalm];
        };
        const [enter, again] = [false, true].map((repeat) => ['keydown', { key: 'Enter', repeat }]);
        const draws = ['draw', 'draw', 'draw'];
        console.log(JSON.stringify({
          free: await after(...draws),
          click: await after('pointerdown', ...draws, 100, 'pointerup', 'click', 0),
          late: await after('pointerdown', 'draw', 'pointerup', 300, 'click', 0),
          none: await after('pointerdown', 'draw', 'pointerup', 499, 1),
          scrolls: await after('pointerdown', 'draw', 'pointercancel', 0),
          stays: await after('pointerdown', 'draw', 1499, 1),
          next: await after('pointerdown', 'draw', 'pointerup', 300, 'pointerdown', 400, 'click', 0),
          enter: await after(enter, 'draw', 'click', 0),
          space: await after(['keydown', { key: ' ' }], 'draw', 'keyup', 'click', 0),
          key_stays: await after(enter, 'draw', 1000, again, 499, 1),
          typing: await after(['keydown', { key: 'a' }], 'draw', 0),
          beside: await after(['pointerdown', {}, null], 'draw', 0),
        }));
        """
    )
    assert found == {
        "free": [1, 2, 3, True],
        "click": [0, 0, 1, True],
        "late": [0, 0, 1, True],
        "none": [0, 0, 1, True],
        "scrolls": [0, 0, 1, True],
        "stays": [0, 0, 1, True],
        "next": [0, 0, 1, True],
        "enter": [0, 0, 1, True],
        "space": [0, 0, 1, True],
        "key_stays": [0, 0, 1, True],
        "typing": [0, 1, 1, True],
        "beside": [0, 1, 1, True],
    }


def test_when_a_guest_may_is_told_in_one_sentence() -> None:
    told = node(
        """
        process.env.TZ = 'Europe/Berlin';
        globalThis.localStorage = { getItem: () => null, setItem() {} };
        const { accessSentence, speak } = await load('texts.js');
        const now = Date.parse('2026-12-01T12:00:00+01:00');
        const all = [
          null, {}, { weekdays: ['mo', 'tu', 'we', 'th', 'fr', 'sa', 'su'] },
          { weekdays: ['mo', 'tu', 'we', 'th', 'fr'], time_from: '08:00', time_until: '20:00',
            until: '2030-12-24T18:00:00+01:00' },
          { weekdays: ['mo', 'we', 'fr', 'sa', 'su'] }, { weekdays: ['tu'], time_from: '22:00' },
          { from: '2026-12-24T18:00:00+01:00' }, { from: '2026-11-24T18:00:00+01:00' },
          { until: '2026-11-24T18:00:00+01:00', weekdays: ['mo'] },
        ];
        const plain = (text) => text.replace(/\\s/g, ' ');
        console.log(JSON.stringify(['en', 'de'].map((language) => {
          speak(language);
          return all.map((access) => plain(accessSentence(access, now)));
        })));
        """
    )
    assert told == [
        [
            "", "", "",
            "By your invitation you may open it Monday to Friday, 08:00 to 20:00, until Dec 24, 2030, 6:00 PM.",
            "By your invitation you may open it Monday, Wednesday, and Friday to Sunday.",
            "By your invitation you may open it Tuesday, 22:00 to 24:00.",
            "By your invitation you may open it from Dec 24, 2026, 6:00 PM.", "",
            "Your time here ended: Nov 24, 2026, 6:00 PM.",
        ],
        [
            "", "", "",
            "Laut Einladung darfst du öffnen: Montag bis Freitag, 08:00 bis 20:00 Uhr, bis 24.12.2030, 18:00.",
            "Laut Einladung darfst du öffnen: Montag, Mittwoch und Freitag bis Sonntag.",
            "Laut Einladung darfst du öffnen: Dienstag, 22:00 bis 24:00 Uhr.",
            "Laut Einladung darfst du öffnen: ab 24.12.2026, 18:00.", "",
            "Deine Zeit hier ist abgelaufen: 24.11.2026, 18:00.",
        ],
    ]  # fmt: skip


def test_an_action_waits_for_its_turn_only_while_the_page_is_awake() -> None:
    """Whatever the browser tells of its sleep, and if it tells nothing, by a clock that went on, or back."""
    found = node(
        """
        globalThis.document = new EventTarget();
        const { Patience } = await load('patience.js');
        let now = 1000, tick;
        Date.now = () => now;
        globalThis.setInterval = (work) => (tick = work);
        const after = (...steps) => {
          const patience = new Patience();
          for (const step of steps) {
            if (step === 'freeze') document.dispatchEvent(new Event('freeze'));
            else { now += step; if (Math.abs(step) <= 250) tick(); }
          }
          try { patience.check(); return ''; } catch (error) { return error.code; } finally { patience.end(); }
        };
        const awake = (ms) => Array(ms / 250).fill(250);
        console.log(JSON.stringify({
          once: after(), soon: after(...awake(15000)), late: after(...awake(15250)), slept: after(2250),
          slow: after(1750), before: after(250, 2250, ...awake(500)), back: after(-3000), frozen: after('freeze'),
          again: after(),
        }));
        """
    )
    assert found == {
        "once": "", "soon": "", "late": "too_late", "slept": "slept", "slow": "", "before": "slept", "back": "slept",
        "frozen": "slept", "again": "",
    }  # fmt: skip


def test_every_word_has_two_languages_and_every_key_words() -> None:
    table = node("const { table } = await load('texts.js'); console.log(JSON.stringify(table));")
    for key, words in table.items():
        assert len(list(filter(None, words))) == 2, key
        names = [sorted(re.findall(r"\{(\w+)\}", each)) for each in words]
        assert names[0] == names[1], key
    used = set()
    for name in imported("app.js"):
        used |= set(re.findall(r'\bt\("([a-z][a-z.-]+)"', (PAGE / name).read_text()))
    assert used <= set(table), used - set(table)


def test_no_file_of_the_page_has_inline_style_or_script() -> None:
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"style=|<style|<script(?![^>]*\bsrc=)|\bon[a-z]+=", html)
    for path in scripts():
        assert not re.search(r"innerHTML|insertAdjacentHTML|eval\(|new Function", path.read_text()), path


def test_scripts_without_their_comments_compute_the_same(tmp_path: Path) -> None:
    for path in scripts():
        target = tmp_path / path.relative_to(PAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        script = path.read_text()
        assert script.count("`") == sum(line.count("`") for line in script.splitlines() if line.count("`") % 2 == 0), (
            path
        )
        target.write_text(lean(script))
        assert "/**" not in target.read_text(), path
    (tmp_path / "package.json").write_text('{"type": "module"}')
    count = node(
        f"const lean = (name) => import({tmp_path.as_uri()!r} + '/' + name);\nconst checks = {CHECKS}\n"
        f"console.log(await checks(lean, {json.dumps(vectors())}, {json.dumps(known())}));"
    )
    assert count > 200
    for path in tmp_path.rglob("*.js"):
        subprocess.run(["node", "--check", path], check=True, capture_output=True, timeout=60)
