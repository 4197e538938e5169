/** One lock: its state, the buttons that move it, and what else can be done with it. */

import { holdButton } from "../hold.js";
import { stateText, t } from "../texts.js";
import { ask, el, head, note, say, symbol } from "../ui.js";
import { lead, problemNote } from "./form.js";
import { Refusal } from "./house.js";
import { batteryWords, doorWords, faults, linkWords, nameOf, signalWords, stateSymbol, stateWords, when } from "./words.js";

/** How long "unlock" and "unlatch" are held, in ms, as on a guest's page. */
const UNLOCK_MS = 600;
const UNLATCH_MS = 1200;
/** Actions that open nothing are tapped; the others are held so long. @type {Record<string, number>} */
const HOLD_MS = { unlock: UNLOCK_MS, unlatch: UNLATCH_MS, lock_n_go: UNLOCK_MS, lock_n_go_unlatch: UNLATCH_MS, open: UNLATCH_MS, activate_rto: UNLOCK_MS,
  activate_continuous_mode: UNLATCH_MS, fob_action_1: UNLOCK_MS, fob_action_2: UNLOCK_MS, fob_action_3: UNLOCK_MS };
const MORE = ["full_lock", "lock_n_go", "lock_n_go_unlatch", "fob_action_1", "fob_action_2", "fob_action_3"];
const OPENER = ["activate_rto", "deactivate_rto", "activate_continuous_mode", "deactivate_continuous_mode"];

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function lockView({ house, lock, go, back, key }) {
  const state = el("section", { class: "state" });
  const words = el("section", { class: "words" });
  const name = nameOf(lock(), house);
  const isOpener = lock().status?.family === "opener";
  let hint = "", spoken = "";

  const act = (/** @type {string} */ action) => {
    hint = "";
    house.act(lock(), action);
  };
  const label = (/** @type {string} */ action) => t(action === "open" ? "action.unlatch" : ["unlock", "lock", "unlatch"].includes(action) ? `action.${action}` : `owner.action.${action}`);
  const doubt = async (/** @type {string} */ action) => {
    if (await ask({ title: t("owner.ask", { action: label(action), door: name }), yes: label(action) })) act(action);
  };
  const hold = (/** @type {string} */ action, /** @type {string} */ kind, /** @type {string} */ sign) =>
    holdButton({
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
  const press = (/** @type {string} */ action, /** @type {string} */ kind) =>
    el("button", { type: "button", class: kind, onclick: () => lock().doing?.step === "asking" || act(action) }, symbol("locked"), label(action));
  const hands = isOpener
    ? [hold("open", "unlock", "open")]
    : [hold("unlock", "unlock", "unlocked"), press("lock", "press"), hold("unlatch", "unlatch", "open")];
  const others = (isOpener ? OPENER : MORE).map((action) => (HOLD_MS[action] ? hold(action, "line-hold", "turning") : press(action, "line-press")));

  const draw = () => {
    const now = lock(), isStale = !house.reaches(now) || house.connection.status !== "online";
    const sign = stateSymbol(now.state);
    state.className = `state ${sign}${isStale ? " stale" : ""}`;
    const door = doorWords(now);
    state.replaceChildren(symbol(sign), el("p", { class: "word" }, stateWords(now)),
      door && el("p", { class: "line" }, symbol(now.status?.door === "open" ? "open" : "closed"), door),
      el("p", { class: "dim" }, [batteryWords(now), linkWords(now, house), signalWords(now.status?.rssi)].filter(Boolean).join(" · ")),
      el("p", { class: "dim" }, house.connection.status === "online" ? (now.status?.updated ? t("as-of", { time: when(now.status.updated) }) : "") : t(`status.${house.connection.status}`)));
    for (const each of [...hands, ...others]) each.setAttribute("aria-disabled", String(now.doing?.step === "asking"));
    const told = doingWords(now, label);
    words.replaceChildren(...(told ? [told.node] : []), hint && now.doing?.step !== "asking" ? el("p", { class: "doing" }, hint) : "",
      ...faults(now, house).filter((each) => !told?.spoken.includes(each)).map((each) => note("warning", el("p", {}, each))));
    const line = told?.spoken || stateWords(now);
    if (line !== spoken) say((spoken = line));
  };
  if (lock().doing?.step !== "asking") lock().doing = null;
  house.addEventListener("change", draw);
  draw();
  const entry = (/** @type {string} */ sign, /** @type {string} */ view) => lead(sign, t(`owner.${view}`), t(`owner.${view}.below`), () => go(view, key));
  return {
    node: el("div", { class: "view" }, head(name, back),
      el("button", { type: "button", class: "plain wide", onclick: () => go("invite", key) }, symbol("add"), t("owner.invite")),
      state, words, el("div", { class: "hands" }, ...hands),
      el("details", { class: "more" }, el("summary", {}, t("owner.more-actions")), ...others),
      el("ul", { class: "doors" }, entry("people", "users"), entry("log", "log"), entry("keypad", "keypad"), entry("clock", "timecontrol"),
        entry("battery", "battery"), entry("settings", "settings"), entry("key", "pin"), entry("tools", "maintenance"))),
    end: () => house.removeEventListener("change", draw),
  };
}

/**
 * What is said of the last action. @param {import("./house.js").OwnLock} lock @param {(action: string) => string} label
 * @returns {{node: HTMLElement, spoken: string} | null}
 */
function doingWords({ doing, state, availability }, label) {
  if (!doing || doing.step === "done") return null;
  const action = label(doing.action);
  if (doing.step === "asking") {
    const line = t("owner.doing", { action });
    return { node: el("p", { class: "doing" }, line), spoken: line };
  }
  if (doing.step === "unknown") {
    const line = availability === "online" && state ? t("unknown.states", { action, state: stateText(state) }) : t("unknown.nothing", { action });
    return { node: note("warning", el("strong", {}, t("unknown.title")), el("p", {}, line)), spoken: `${t("unknown.title")}. ${line}` };
  }
  const node = problemNote(new Refusal(doing.code ?? "failed", doing.said ?? ""));
  node.lastElementChild?.prepend(el("strong", {}, t("failed.title", { action })));
  return { node, spoken: node.textContent ?? "" };
}
