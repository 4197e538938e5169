/** One door: its state, and the buttons that move it. */

import { holdButton } from "../hold.js";
import { MOVING } from "../messages.js";
import { errorText, has, stateText, t, timeText } from "../texts.js";
import { ask, el, head, note, say, symbol } from "../ui.js";

/** How long "unlock" and "unlatch" are held, in ms. */
const UNLOCK_MS = 600;
const UNLATCH_MS = 1200;

/** Failures that nobody needs to read of any more once there is a connection: nothing was sent. */
const OVER_WHEN_ONLINE = new Set(["offline", "closed", "broker_unavailable"]);
/** So long they stay to be read then, in ms. */
const READ_MS = 10000;

/** @param {import("../messages.js").States | null} states @returns {string} the symbol of a lock's state */
export function stateSymbol(states) {
  if (!states) return "unknown";
  if (MOVING.has(states.state)) return "turning";
  if (states.state === "locked") return "locked";
  if (["unlocked", "unlocked_lock_n_go"].includes(states.state)) return "unlocked";
  if (states.state === "unlatched") return "open";
  return states.state === "motor_blocked" ? "warning" : "unknown";
}

/** @param {import("../app.js").Page} page @param {import("../app.js").Place} place @returns {import("../app.js").Shown} */
export function doorView(page, place) {
  const door = /** @type {import("../door.js").Door} */ (page.doors.get(place.id ?? ""));
  const state = el("section", { class: "state" });
  const words = el("section", { class: "words" });
  const near = el("section", { class: "near later" });
  let redraw = () => {};
  /** @type {ReturnType<import("../door.js").Door["prepare"]> | undefined} */
  let prepared;
  let shown = "";
  let hint = "";

  const act = (/** @type {import("../door.js").Action} */ action, /** @type {typeof prepared} */ ahead) => {
    hint = "";
    document.querySelector("#view > .view > .note.done")?.remove();
    door.act(action, ahead);
  };
  const hold = (/** @type {"unlock" | "unlatch"} */ action, /** @type {number} */ ms) =>
    holdButton({
      label: t(`action.${action}`), hint: t(action === "unlock" ? "hold" : "hold.longer"), ms, class: action,
      symbol: symbol(action === "unlock" ? "unlocked" : "open"),
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
  const buttons = [
    hold("unlock", UNLOCK_MS),
    el("button", { type: "button", class: "press", onclick: () => door.busy || act("lock", undefined) }, symbol("locked"), t("action.lock")),
    hold("unlatch", UNLATCH_MS),
  ];

  const draw = () => {
    const { states, doing } = door;
    const isStale = door.problem !== null || (!door.near && page.connection.status !== "online");
    state.className = `state ${stateSymbol(states)}${isStale ? " stale" : ""}`;
    state.replaceChildren(
      symbol(stateSymbol(states)),
      el("p", { class: "word" }, states ? stateText(states.state) : t("state.none")),
      doorLine(states),
      el("p", { class: "dim" }, subtitle(page, door)));
    for (const button of buttons) button.setAttribute("aria-disabled", String(door.busy));
    words.replaceChildren(...wordsOf(door, hint));
    redraw();
    const spoken = doing ? spokenOf(door) : states ? stateText(states.state) : "";
    if (spoken && spoken !== shown) say((shown = spoken));
  };
  const seen = () => {
    const isOnline = page.connection.status === "online";
    const failed = door.doing?.step === "failed" && OVER_WHEN_ONLINE.has(door.doing.code ?? "") ? door.doing : null;
    if (isOnline && failed) setTimeout(() => door.doing === failed && door.settle(), READ_MS);
    if (!document.hidden && !door.near && isOnline && !door.busy && door.credential.remote) door.refresh();
    draw();
  };
  door.settle();
  door.addEventListener("change", draw);
  page.connection.addEventListener("status", seen);
  draw();
  seen();
  import("./near.js").then((part) => (redraw = part.nearPanel(page, door, near)), () => {});
  return {
    node: el("div", { class: "view" },
      head(door.name, page.doors.size > 1 ? () => page.back() : null,
        el("button", { type: "button", class: "icon", "aria-label": t("details.open"), onclick: () => page.go({ view: "details", id: door.id }) }, symbol("more"))),
      state, words, near, el("div", { class: "hands" }, ...buttons)),
    end() {
      door.removeEventListener("change", draw);
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
  if (doing && ["asking", "sent", "accepted", "looking"].includes(doing.step)) {
    found.push(el("p", { class: "doing" }, t(`doing.${doing.step}`)));
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
    ? t("unknown.states", { action, state: stateText(door.states.state) })
    : t("unknown.nothing", { action });
}

/** What a screen reader says of an action. @param {import("../door.js").Door} door */
function spokenOf(door) {
  const { doing } = door;
  if (!doing) return "";
  if (doing.step === "failed") return `${t("failed.title", { action: t(`action.${doing.action}`) })}. ${errorText(doing.code ?? "failed")}`;
  if (doing.step === "unknown") return `${t("unknown.title")}. ${unknownText(door)}`;
  if (doing.step === "done") return door.states ? stateText(door.states.state) : t(`done.${doing.action}`);
  return t(`doing.${doing.step}`);
}
