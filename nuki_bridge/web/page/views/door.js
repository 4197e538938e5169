/** One door: its state, and the buttons that move it. */

import { calm } from "../calm.js";
import { holdButton, holdSwitch, showSwitch } from "../hold.js";
import { RANG_MS } from "../door.js";
import { accessSentence, errorText, has, statesText, t, timeText } from "../texts.js";
import { ask, el, head, note, say, symbol, symbolOf } from "../ui.js";

/** Actions that open something are held so long, in ms; the others are tapped. @type {Record<string, number>} */
const HOLD_MS = { unlock: 600, unlatch: 1200, open: 1200, activate_rto: 600 };
/** Their symbols. @type {Record<string, string>} */
const SIGNS = { unlock: "unlocked", lock: "locked", activate_rto: "bell" };

/** Failures that nobody needs to read of any more once there is a connection: nothing was sent. */
const OVER_WHEN_ONLINE = new Set(["offline", "closed", "broker_unavailable"]);
/** So long they stay to be read then, in ms. */
const READ_MS = 10000;

/** @param {import("../app.js").Page} page @param {import("../app.js").Place} place @returns {import("../app.js").Shown} */
export function doorView(page, place) {
  const door = /** @type {import("../door.js").Door} */ (page.doors.get(place.id ?? ""));
  const state = el("section", { class: "state" });
  const words = el("section", { class: "words" });
  const near = el("section", { class: "near later" });
  let drawNear = () => {};
  /** @type {ReturnType<import("../door.js").Door["prepare"]> | undefined} */
  let prepared;
  let shown = "";
  let hint = "";

  const act = (/** @type {import("../door.js").Action} */ action, /** @type {typeof prepared} */ ahead) => {
    hint = "";
    document.querySelector("#view > .view > .note.done")?.remove();
    door.act(action, ahead);
  };
  /** @param {string} action @param {string} kind of button */
  const held = (action, kind) => ({
    label: t(`action.${action}`), hint: t(HOLD_MS[action] > 600 ? "hold.longer" : "hold"), ms: HOLD_MS[action], class: kind,
    symbol: symbol(SIGNS[action] ?? "open"),
    onstart: () => (prepared = door.busy ? undefined : door.prepare()),
    onheld: () => act(action, prepared),
    ontap: () => {
      hint = t("hold.hint", { action: t(`action.${action}`) });
      say(hint);
      draw();
    },
    onslept: () => door.drop(action, "slept"),
    onquestion: async () => {
      const question = { title: t(`ask.${action}`, { door: door.name }), yes: t(`action.${action}`) };
      if (await ask(question)) act(action, undefined);
    },
  });
  const hold = (/** @type {string} */ action, /** @type {string} */ kind) => holdButton(held(action, kind));
  const isRto = () => door.states?.state === "rto_active";
  const press = (/** @type {string} */ action) =>
    el("button", { type: "button", class: "press", onclick: (/** @type {Event} */ event) => !isOff(event.currentTarget) && act(action, undefined) },
      symbol(SIGNS[action]), t(`action.${action}`));
  /** @type {Record<string, HTMLButtonElement>} */
  const buttons = door.kind === "opener"
    ? { open: hold("open", "unlock"), rto: holdSwitch({ ...held("activate_rto", "unlatch"), label: t("switch.rto"), isOn: isRto, onoff: () => act("deactivate_rto", undefined) }) }
    : { unlock: hold("unlock", "unlock"), lock: press("lock"), unlatch: hold("unlatch", "unlatch") };

  const draw = () => {
    const { states, doing } = door;
    const isStale = door.problem !== null || (!door.near && page.connection.status !== "online");
    const may = accessSentence(door.credential.access);
    const sign = symbolOf(states, door.kind), word = states ? statesText(states, door.kind) : "";
    state.className = `state ${sign}${isStale ? " stale" : ""}`;
    state.replaceChildren(
      symbol(sign),
      el("p", { class: "word" }, word || t("state.none")),
      doorLine(states),
      el("p", { class: "dim" }, subtitle(page, door)),
      may && el("p", { class: "dim" }, may));
    const isAfar = !door.credential.remote && !door.near; // only near the door, as the words say
    for (const button of Object.values(buttons)) button.setAttribute("aria-disabled", String(door.busy || isAfar));
    if (buttons.rto) showSwitch(buttons.rto, isRto(), t(isRto() ? "switch.on" : "switch.off"));
    words.replaceChildren(...wordsOf(door, hint));
    drawNear();
    const spoken = doing ? spokenOf(door) : word;
    if (spoken && spoken !== shown) say((shown = spoken));
  };
  const seen = () => {
    const isOnline = page.connection.status === "online";
    const failed = door.doing?.step === "failed" && OVER_WHEN_ONLINE.has(door.doing.code ?? "") ? door.doing : null;
    if (isOnline && failed) setTimeout(() => door.doing === failed && door.settle(), READ_MS);
    if (!document.hidden && !door.near && isOnline && !door.busy && door.credential.remote) door.refresh();
    redraw();
  };
  const redraw = calm(draw);
  door.settle();
  door.addEventListener("change", redraw);
  page.connection.addEventListener("status", seen);
  draw();
  seen();
  import("./near.js").then((part) => (drawNear = part.nearPanel(page, door, near)), () => {});
  return {
    node: el("div", { class: "view" },
      head(door.name, page.doors.size > 1 ? () => page.back() : null,
        el("button", { type: "button", class: "icon", "aria-label": t("details.open"), onclick: () => page.go({ view: "details", id: door.id }) }, symbol("more"))),
      state, words, near, el("div", { class: "hands" }, ...Object.values(buttons))),
    end() {
      door.removeEventListener("change", redraw);
      page.connection.removeEventListener("status", seen);
    },
  };
}

/** @param {import("../messages.js").States | null} states @returns {Node | string} */
function doorLine(states) {
  const key = `door.${states?.door}`;
  return has(key) ? el("p", { class: "line" }, symbol(states?.door === "open" ? "open" : "closed"), t(key)) : "";
}

/** When the state was read, and why there is no newer one. @param {import("../app.js").Page} page @param {import("../door.js").Door} door */
function subtitle(page, door) {
  const when = door.states ? t("as-of", { time: timeText(door.at) }) : "";
  const { status } = page.connection;
  if (door.near || !door.credential.remote) return when || (door.near && !door.problem ? t("reading") : "");
  const why = status === "online" ? (door.states ? "" : door.problem ? "" : t("reading")) : t(`status.${status}`);
  return [when, why].filter(Boolean).join(" · ");
}

/** What is said about the last action, or about what keeps the state from being read. @param {import("../door.js").Door} door @param {string} hint */
function wordsOf(door, hint) {
  const { doing, states, problem } = door, found = [];
  if (door.rang && Date.now() - door.rang < RANG_MS) found.push(note("done", el("p", {}, t("ring.opened", { time: timeText(door.rang) }))));
  if (doing && ["asking", "sent", "accepted", "looking"].includes(doing.step)) {
    found.push(el("p", { class: "doing" }, doingText(door)));
  } else if (doing?.step === "failed") {
    found.push(note("failed", el("strong", {}, t("failed.title", { action: t(`action.${doing.action}`) })), el("p", {}, errorText(doing.code ?? "failed"))));
  } else if (doing?.step === "unknown") {
    found.push(note("warning", el("strong", {}, t("unknown.title")), el("p", {}, unknownText(door))));
  } else if (problem && !(problem === "offline" || problem === "closed")) {
    found.push(note("failed", el("strong", {}, t("failed.states")), el("p", {}, errorText(problem))));
  } else if (!door.credential.remote && !door.near) {
    found.push(note("warning", el("p", {}, errorText("remote_not_allowed"))));
  }
  if (states?.critical) found.push(el("p", { class: "line" }, symbol("battery"), t("battery.critical")));
  if (hint && !door.busy) found.push(el("p", { class: "doing" }, hint));
  return found;
}

/** @param {import("../door.js").Door} door */
function unknownText(door) {
  const action = t(`action.${door.doing?.action}`);
  return door.problem === null && door.states
    ? t("unknown.states", { action, state: statesText(door.states, door.kind) })
    : t("unknown.nothing", { action });
}

/** What a screen reader says of an action. @param {import("../door.js").Door} door */
function spokenOf(door) {
  const { doing } = door;
  if (!doing) return "";
  if (doing.step === "failed") return `${t("failed.title", { action: t(`action.${doing.action}`) })}. ${errorText(doing.code ?? "failed")}`;
  if (doing.step === "unknown") return `${t("unknown.title")}. ${unknownText(door)}`;
  if (doing.step === "done") return door.states ? statesText(door.states, door.kind) : t(`action.${doing.action}`);
  return doingText(door);
}

/** How far an action is. @param {import("../door.js").Door} door */
function doingText({ doing, kind }) {
  const key = `doing.${doing?.step}`;
  return t(has(`${key}.${kind}`) ? `${key}.${kind}` : key);
}

/** @param {EventTarget | null} button */
const isOff = (button) => /** @type {HTMLElement} */ (button).getAttribute("aria-disabled") === "true";
