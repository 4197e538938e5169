/** One lock: its state, the buttons that move it, and what else can be done with it. */

import { calm, calmed } from "../calm.js";
import { holdButton, holdSwitch, showSwitch } from "../hold.js";
import { has, t } from "../texts.js";
import { ask, el, head, note, say, symbol } from "../ui.js";
import { lead, problemNote } from "./form.js";
import { Refusal } from "./house.js";
import { batteryWords, doorWords, faults, kindOf, linkWords, nameOf, ringWords, signalWords, stateSymbol, stateWords, when } from "./words.js";

/** How long "unlock" and "unlatch" are held, in ms, as on a guest's page. */
const UNLOCK_MS = 600;
const UNLATCH_MS = 1200;
/** Actions that open nothing are tapped; the others are held so long. @type {Record<string, number>} */
const HOLD_MS = { unlock: UNLOCK_MS, unlatch: UNLATCH_MS, lock_n_go: UNLOCK_MS, lock_n_go_unlatch: UNLATCH_MS, open: UNLATCH_MS, activate_rto: UNLOCK_MS,
  activate_continuous_mode: UNLATCH_MS, fob_action_1: UNLOCK_MS, fob_action_2: UNLOCK_MS, fob_action_3: UNLOCK_MS };
const FOB = ["fob_action_1", "fob_action_2", "fob_action_3"];
const MORE = ["full_lock", "lock_n_go", "lock_n_go_unlatch", ...FOB];
/** What an Opener's wiring makes impossible, by what it allows. @type {Record<string, string[]>} */
const UNWIRED = { open: ["activate_rto"], rto: ["open"] };

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function lockView({ house, lock, go, back, key }) {
  const state = el("section", { class: "state" });
  const words = el("section", { class: "words" });
  const name = nameOf(lock(), house);
  const isOpener = kindOf(lock()) === "opener";
  let hint = "", spoken = "";
  /** What the bridge's configuration lets MQTT ask for; null for all, and while that is not known. @type {string[] | null} */
  let allowed = null;

  const act = (/** @type {string} */ action) => {
    hint = "";
    house.act(lock(), action);
  };
  const label = (/** @type {string} */ action) => t(has(`action.${action}`) ? `action.${action}` : `owner.action.${action}`);
  const doubt = async (/** @type {string} */ action) => {
    if (await ask({ title: t("owner.ask", { action: label(action), door: name }), yes: label(action) })) act(action);
  };
  /** @type {Map<string, HTMLButtonElement>} */
  const buttons = new Map();
  const kept = (/** @type {string} */ action, /** @type {HTMLButtonElement} */ button) => {
    buttons.set(action, button);
    return button;
  };
  const held = (/** @type {string} */ action, /** @type {string} */ kind, /** @type {string} */ sign) => ({
    label: label(action), hint: t(HOLD_MS[action] > UNLOCK_MS ? "hold.longer" : "hold"), ms: HOLD_MS[action], class: kind, symbol: symbol(sign),
    onstart: () => {},
    onheld: () => act(action),
    ontap: () => {
      hint = t("hold.hint", { action: label(action) });
      say(hint);
      draw();
    },
    onslept: () => house.drop(lock(), action, "slept"),
    onquestion: () => doubt(action),
  });
  const hold = (/** @type {string} */ action, /** @type {string} */ kind, /** @type {string} */ sign) => kept(action, holdButton(held(action, kind, sign)));
  const isRto = () => lock().state === "rto_active", isContinuous = () => lock().continuous_mode === "on";
  const modes = isOpener ? [
    { button: holdSwitch({ ...held("activate_rto", "unlatch", "bell"), label: t("switch.rto"), isOn: isRto, onoff: () => act("deactivate_rto") }), isOn: isRto, off: "switch.off" },
    { button: holdSwitch({ ...held("activate_continuous_mode", "unlatch", "bell"), label: t("switch.cm"), isOn: isContinuous, onoff: () => act("deactivate_continuous_mode") }),
      isOn: isContinuous, off: "switch.off.longer" }] : [];
  const press = (/** @type {string} */ action, /** @type {string} */ kind) =>
    kept(action, el("button", { type: "button", class: kind, onclick: () => lock().doing?.step === "asking" || act(action) }, symbol("locked"), label(action)));
  const hands = isOpener
    ? [hold("open", "unlock", "open"), kept("activate_rto", modes[0].button), kept("activate_continuous_mode", modes[1].button)]
    : [hold("unlock", "unlock", "unlocked"), press("lock", "press"), hold("unlatch", "unlatch", "open")];
  const main = [...buttons.keys()];
  const others = (isOpener ? FOB : MORE).map((action) => (HOLD_MS[action] ? hold(action, "line-hold", "turning") : press(action, "line-press")));
  const more = el("details", { class: "more" }, el("summary", {}, t("owner.more-actions")), ...others);

  /** Hide what cannot be asked for now, and say what the configuration or the wiring keeps from being asked for at all. */
  const offer = (/** @type {import("./house.js").OwnLock} */ now) => {
    const unwired = UNWIRED[now.status?.config?.capabilities] ?? [];
    const refused = allowed === null ? [] : [...buttons.keys()].filter((action) => !allowed?.includes(action));
    for (const each of modes) showSwitch(each.button, each.isOn(), t(each.isOn() ? "switch.on" : each.off));
    for (const [action, button] of buttons) {
      button.setAttribute("aria-disabled", String(now.doing?.step === "asking"));
      button.hidden = refused.includes(action) || unwired.includes(action);
    }
    more.hidden = others.every((each) => each.hidden);
    const kept = main.filter((action) => refused.includes(action) && !unwired.includes(action));
    return [kept.length && t("owner.not-allowed", { actions: kept.map(label).join(", ") }), unwired.length && t(`owner.wiring.${now.status.config.capabilities}`)]
      .filter(Boolean).map((line) => el("p", { class: "dim" }, String(line)));
  };
  const draw = () => {
    const now = lock(), isStale = !house.reaches(now) || house.connection.status !== "online";
    const sign = stateSymbol(now);
    state.className = `state ${sign}${isStale ? " stale" : ""}`;
    const door = doorWords(now), ring = ringWords(now);
    state.replaceChildren(symbol(sign), el("p", { class: "word" }, stateWords(now)),
      door && el("p", { class: "line" }, symbol(now.status?.door === "open" ? "open" : "closed"), door),
      el("p", { class: "dim" }, [batteryWords(now), linkWords(now, house), signalWords(now.status?.rssi)].filter(Boolean).join(" · ")),
      el("p", { class: "dim" }, house.connection.status === "online" ? (now.status?.updated ? t("as-of", { time: when(now.status.updated) }) : "") : t(`status.${house.connection.status}`)));
    const missing = offer(now), told = doingWords(now, label);
    words.replaceChildren(...(ring ? [note("done", el("p", {}, ring))] : []), ...(told ? [told.node] : []), hint && now.doing?.step !== "asking" ? el("p", { class: "doing" }, hint) : "",
      ...faults(now, house).filter((each) => !told?.spoken.includes(each)).map((each) => note("warning", el("p", {}, each))), ...missing);
    const line = told?.spoken || ring || stateWords(now);
    if (line !== spoken) say((spoken = line));
  };
  if (lock().doing?.step !== "asking") lock().doing = null;
  const redraw = calm(draw);
  house.addEventListener("change", redraw);
  draw();
  house.request(`${lock().base}/bridge`, "locks").finally(calmed).then((locks) => {
    allowed = locks?.find?.((/** @type {any} */ each) => each.name === lock().name)?.actions ?? null;
    draw();
  }, () => {}); // what is not allowed is refused anyway
  const entry = (/** @type {string} */ sign, /** @type {string} */ view) => lead(sign, t(`owner.${view}`), t(`owner.${view}.below`), () => go(view, key));
  return {
    node: el("div", { class: "view" }, head(name, back),
      el("button", { type: "button", class: "plain wide", onclick: () => go("invite", key) }, symbol("add"), t("owner.invite")),
      state, words, el("div", { class: "hands" }, ...hands), more,
      el("ul", { class: "doors" }, entry("people", "users"), entry("log", "log"), entry("keypad", "keypad"), entry("clock", "timecontrol"),
        entry("battery", "battery"), entry("settings", "settings"), entry("key", "pin"), entry("tools", "maintenance"))),
    end: () => house.removeEventListener("change", redraw),
  };
}

/**
 * What is said of the last action. @param {import("./house.js").OwnLock} lock @param {(action: string) => string} label
 * @returns {{node: HTMLElement, spoken: string} | null}
 */
function doingWords(lock, label) {
  const { doing, state, availability } = lock;
  if (!doing || doing.step === "done") return null;
  const action = label(doing.action);
  if (doing.step === "asking") {
    const line = t("owner.doing", { action });
    return { node: el("p", { class: "doing" }, line), spoken: line };
  }
  if (doing.step === "unknown") {
    const line = availability === "online" && state ? t("unknown.states", { action, state: stateWords(lock) }) : t("unknown.nothing", { action });
    return { node: note("warning", el("strong", {}, t("unknown.title")), el("p", {}, line)), spoken: `${t("unknown.title")}. ${line}` };
  }
  const node = problemNote(new Refusal(doing.code ?? "failed", doing.said ?? ""));
  node.lastElementChild?.prepend(el("strong", {}, t("failed.title", { action })));
  return { node, spoken: node.textContent ?? "" };
}
