/**
 * Small helpers for views: elements, symbols, the spoken line, questions.
 */

import { MOVING } from "./messages.js";
import { t } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. In `properties` a function is a listener (`onclick`), `class` and whatever else has a dash or is no
 * property of the element is an attribute; `null` and `false` among the children are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, any>} [properties] @param {...(Node | string | null | false | undefined)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in element && name !== "list" && name !== "form") /** @type {any} */ (element)[name] = value;
    else if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(.../** @type {(Node | string)[]} */ (children.filter((child) => child !== null && child !== false && child !== undefined)));
  return element;
}

/** Outlines of symbols, in a square of 24; the owner's part adds its own. @type {Record<string, string>} */
export const PATHS = {
  locked: "M6 10h12v10H6zM8.5 10V7a3.5 3.5 0 0 1 7 0v3M12 14v2.5",
  unlocked: "M6 10h12v10H6zM8.5 10V6.500a3.5 3.5 0 0 1 6.800-1.200M12 14v2.5",
  open: "M5 21h14M7 21V4l8-1.500V21M15 4h2v17M12 12v1",
  closed: "M5 21h14M7 21V3h10v18M14 12v1",
  turning: "M20 12a8 8 0 1 1-2.400-5.700M20 3v4h-4",
  unknown: "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 17.500v.5M12 2.500a9.500 9.500 0 1 0 0 19 9.500 9.500 0 0 0 0-19",
  warning: "M12 3 2.500 20h19zM12 10v4.500M12 17v.5",
  back: "M15 5l-7 7 7 7",
  more: "M12 11v6M12 7v.5M12 2.500a9.500 9.500 0 1 0 0 19 9.500 9.500 0 0 0 0-19",
  add: "M12 5v14M5 12h14",
  done: "M4 12.500l5.500 5.500L20 7",
  bell: "M6 17V11a6 6 0 0 1 12 0v6l1.500 1.500h-15zM10 21h4",
  battery: "M3 8h15v8H3zM21 11v2M6 11v2",
};

/**
 * The symbol of what a device says of itself.
 * @param {{state: string, mode: string} | null} states @param {import("./messages.js").Kind} kind
 */
export function symbolOf(states, kind) {
  if (!states) return "unknown";
  if (MOVING.has(states.state)) return "turning";
  if (states.state === "unlatched" || states.state === "open") return "open";
  if (kind === "opener" && (states.state === "rto_active" || states.mode === "continuous_mode")) return "bell";
  if (states.state === "locked") return kind === "opener" ? "closed" : "locked";
  if (["unlocked", "unlocked_lock_n_go"].includes(states.state)) return "unlocked";
  return states.state === "motor_blocked" ? "warning" : "unknown";
}

/** A symbol without a meaning of its own: the words beside it say the same. @param {string} name */
export function symbol(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "symbol");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name] ?? PATHS.unknown);
  svg.append(path);
  return svg;
}

/** The ring of a hold, which `hold.js` fills. */
export function ring() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("class", "ring");
  svg.setAttribute("aria-hidden", "true");
  for (const name of ["track", "fill"]) {
    const circle = document.createElementNS(SVG, "circle");
    for (const [key, value] of Object.entries({ cx: 50, cy: 50, r: 46, pathLength: 100, class: name })) circle.setAttribute(key, String(value));
    svg.append(circle);
  }
  return svg;
}

/** Have a screen reader say something. @param {string} text */
export function say(text) {
  const line = document.getElementById("spoken");
  if (line && line.textContent !== text) line.textContent = text;
}

/** Tell, at the top of the view that is shown now, what has led there. @param {string} words @param {string} [kind] of the note */
export function announce(words, kind = "done") {
  document.querySelector("#view header")?.after(note(kind, el("p", {}, words)));
  say(words);
}

/**
 * Ask a question in a dialog of its own.
 * @param {{title: string, text?: string, yes: string, dangerous?: boolean}} question @returns {Promise<boolean>}
 */
export function ask({ title, text, yes, dangerous = false }) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "question" },
      el("h2", { id: "question" }, title),
      text && el("p", {}, text),
      el("div", { class: "buttons" },
        el("button", { type: "button", class: "plain", onclick: () => dialog.close() }, t("app.cancel")),
        el("button", { type: "button", class: dangerous ? "danger" : "primary", onclick: () => dialog.close("yes") }, yes)));
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * The head of a view: its name, the way back, and one thing at the right.
 * @param {string} title @param {(() => void) | null} back @param {Node | null} [right]
 */
export function head(title, back, right = null) {
  return el("header", {},
    back ? el("button", { type: "button", class: "icon", "aria-label": t("app.back"), onclick: back }, symbol("back")) : el("span", { class: "icon" }),
    el("h1", { tabIndex: -1 }, title),
    right ?? el("span", { class: "icon" }));
}

/** A warning or a word of comfort, with a symbol. @param {string} kind `warning`, `failed` or `done` @param {...(Node | string | null | false)} children */
export const note = (kind, ...children) =>
  el("div", { class: `note ${kind}` }, symbol(kind === "done" ? "done" : "warning"), el("div", {}, ...children));
