/** Making this phone a user of a lock by Bluetooth alone: what to press, the lock chosen, the key kept and tried. */

import { Near, obstacle } from "../bluetooth.js";
import { hex, readU32 } from "../bytes.js";
import { BadBox, random } from "../crypto.js";
import { BadFrame } from "../frames.js";
import { kindOf } from "../credential.js";
import { Lock } from "../lock.js";
import { Pairing, PairingFrames, ready } from "../pairing.js";
import { Problem, codeOf, within } from "../problem.js";
import { errorText, has, t } from "../texts.js";
import "../texts_bluetooth.js";
import { announce, el, head, note, say } from "../ui.js";
import { noBluetooth } from "./near.js";

/** One answer of the handshake, in ms. */
const ANSWER_MS = 5000;
/** Refusals after which the PIN is asked for. */
const ASKS_PIN = new Set(["pin_required", "wrong_pin_length", "bad_pin"]);

/** @param {string} code */
const pairingError = (code) => (has(`pair.error.${code}`) ? t(`pair.error.${code}`) : errorText(code));

/**
 * Carry the handshake through. `keep` is called as soon as the lock has let us in, before anything else is written: whatever
 * fails after that is not yet a failure. It runs once: nothing is repeated, least of all a PIN.
 * @param {Near} near @param {{name: string, appId: number, pin: string | null}} who
 * @param {(authorization: import("../pairing.js").Authorization, kind: import("../messages.js").Kind) => Promise<void>} keep
 */
export async function pair(near, who, keep) {
  await ready();
  const { link, isUltra, kind } = await near.pairingLink();
  let kept = false;
  try {
    if (isUltra && !who.pin) throw new Problem("pin_required");
    if (isUltra && !/^\d{6}$/.test(who.pin ?? "")) throw new Problem("wrong_pin_length");
    const pairing = new Pairing(who), frames = new PairingFrames();
    /** @type {Uint8Array[]} */
    const heard = [];
    let wake = () => {};
    link.onpiece = (piece) => {
      heard.push(...frames.feed(piece));
      if (heard.length) wake();
    };
    /** @type {Uint8Array | null} */
    let next = pairing.start();
    while (next) {
      frames.encrypted = pairing.expectsEncrypted;
      await link.write(next);
      if (!heard.length) await within(Promise.race([/** @type {Promise<void>} */ (new Promise((resolve) => (wake = resolve))), link.over]), ANSWER_MS, "timeout_here");
      next = await pairing.receive(/** @type {Uint8Array} */ (heard.shift()));
      if (pairing.result && !kept) {
        await keep(pairing.result, kind);
        kept = true;
      }
    }
  } catch (error) {
    if (kept) return;
    throw error instanceof BadFrame || error instanceof BadBox ? new Problem("failed", error.message) : error;
  } finally {
    link.close();
  }
}

/** @param {string} title @param {string} user @param {Near} near @param {import("../pairing.js").Authorization} authorization @param {import("../messages.js").Kind} kind @returns {import("../credential.js").Credential} */
function credentialOf(title, user, near, authorization, kind) {
  const name = title.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 32);
  return {
    version: 1,
    lock: { name: name || "lock", nuki_id: near.nukiId || hex(authorization.uuid.subarray(0, 4)).toUpperCase(), address: "", type: kind === "opener" ? "opener" : "smartlock" },
    authorization_id: authorization.authorizationId,
    shared_key: hex(authorization.key),
    user, remote: false, base_topic: "nuki", access: null, title,
  };
}

/** @param {import("../app.js").Page} page @returns {import("../app.js").Shown} */
export function pairView(page) {
  const why = obstacle();
  const frame = (/** @type {(Node | null)[]} */ ...content) =>
    ({ node: el("div", { class: "view" }, head(t("pair.title"), () => page.back()), ...content) });
  if (why) return frame(noBluetooth(why, "pair"));

  const words = el("div", { role: "alert" });
  const step = el("p", { class: "doing" });
  const door = el("input", { id: "door", type: "text", autocomplete: "off", maxLength: 40, placeholder: t("pair.door.example"), class: "name" });
  const user = el("input", { id: "user", type: "text", autocomplete: "name", maxLength: 32, class: "name" });
  const pin = el("input", { id: "pin", type: "text", inputMode: "numeric", autocomplete: "off", maxLength: 6, "aria-describedby": "pin-hint" });
  const pinField = el("div", { hidden: true }, el("label", { htmlFor: "pin" }, t("pair.pin")), pin, el("p", { id: "pin-hint", class: "dim" }, t("pair.pin.hint")));
  const add = el("button", { type: "submit", class: "primary wide" }, t("pair.add"));
  /** @type {Near | null} */
  let near = null;
  let isBusy = false, isLeft = false;

  const tell = (/** @type {string} */ key) => {
    step.textContent = key ? t(key) : "";
    if (key) say(t(key));
  };
  const fail = (/** @type {string} */ text) => words.replaceChildren(note("failed", el("strong", {}, t("pair.failed")), el("p", {}, text)));

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (isBusy) return;
    words.replaceChildren();
    const title = door.value.trim();
    if (!title) {
      fail(t("pair.no-name"));
      door.focus();
      return;
    }
    isBusy = true;
    add.setAttribute("aria-disabled", "true");
    try {
      near ??= await Near.choose();
      tell("pair.step.connecting");
      await run(title, near);
    } catch (error) {
      const code = codeOf(error);
      fail(pairingError(code));
      if (!ASKS_PIN.has(code)) near = null; // another may be meant
      pinField.hidden = pinField.hidden && !ASKS_PIN.has(code);
      if (ASKS_PIN.has(code)) pin.focus({ preventScroll: true });
      words.scrollIntoView({ block: "center" });
    }
    tell("");
    isBusy = false;
    add.setAttribute("aria-disabled", "false");
  };

  const run = async (/** @type {string} */ title, /** @type {Near} */ lock) => {
    const who = { name: user.value.trim() || t("app.title"), appId: readU32(random(4), 0) || 1, pin: pinField.hidden ? null : pin.value };
    await page.store.doors(); // a browser that keeps nothing says so before the lock is asked
    /** @type {import("../store.js").DoorRecord | undefined} */
    let record;
    await pair(lock, who, async (authorization, kind) => {
      tell("pair.step.pairing");
      record = await page.store.add(credentialOf(title, who.name, lock, authorization, kind));
    });
    pin.value = "";
    const kept = /** @type {import("../store.js").DoorRecord} */ (record);
    tell("pair.step.proving");
    const isProven = await prove(kept.credential, lock).catch(async (error) => {
      if (codeOf(error) !== "not_authorized") return false;
      await page.store.forget(kept.id);
      throw new Problem("not_kept");
    });
    page.add(kept);
    const added = /** @type {import("../door.js").Door} */ (page.doors.get(kept.id));
    added.near = lock;
    if (isLeft) return;
    history.replaceState({ view: "door", id: kept.id }, "");
    await page.show({ view: "door", id: kept.id });
    added.refresh();
    if (isProven) announce(t("pair.done", { door: title }));
    else announce(t("pair.unproven"), "warning");
  };

  return {
    ...frame(el("p", {}, t("pair.intro")),
      el("ol", { class: "steps" }, ...[1, 2, 3].map((number) => el("li", {}, t(`pair.press.${number}`)))),
      el("form", { onsubmit: submit },
        el("label", { htmlFor: "door" }, t("pair.door")), door,
        el("label", { htmlFor: "user" }, t("pair.user")), user,
        words, pinField, step, add)),
    end: () => (isLeft = true),
  };
}

/** Read the lock's states with a new key. @param {import("../credential.js").Credential} credential @param {Near} near */
async function prove(credential, near) {
  const link = near.link(kindOf(credential)), lock = new Lock(credential, link);
  try {
    await link.open();
    await lock.states();
    return true;
  } finally {
    link.close();
  }
}
