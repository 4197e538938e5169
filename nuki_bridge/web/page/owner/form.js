/** What forms of the owner's views are made of: fields, switches, choices, and buttons that wait for the lock's word. */

import { calmed } from "../calm.js";
import { Problem, codeOf } from "../problem.js";
import { has, t } from "../texts.js";
import { el, note, say, symbol } from "../ui.js";
import { Refusal } from "./house.js";

let count = 0;

/**
 * A field with its name above. @template {HTMLElement} T
 * @param {string} label @param {T} input @param {string} [hint] @returns {HTMLElement}
 */
export function field(label, input, hint) {
  const id = (input.id ||= `field-${++count}`);
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return el("div", { class: "field" }, el("label", { htmlFor: id }, label), input, hint && el("p", { id: `${id}-hint`, class: "dim" }, hint));
}

/** @param {Record<string, any>} [properties] */
export const input = (properties = {}) => el("input", { type: "text", autocomplete: "off", spellcheck: false, class: "words-in", ...properties });

/** A field for digits that nobody shall read or remember. @param {Record<string, any>} [properties] */
export const secret = (properties = {}) => input({ type: "password", inputMode: "numeric", autocomplete: "one-time-code", maxLength: 6, ...properties });

/** @param {[string, string][]} options value and words @param {string} value @param {Record<string, any>} [properties] */
export function choice(options, value, properties = {}) {
  const select = el("select", properties, ...options.map(([each, words]) => el("option", { value: each }, words)));
  select.value = value;
  return select;
}

/**
 * A switch. @param {string} label @param {boolean} on @param {string} [hint]
 * @returns {{node: HTMLElement, box: HTMLInputElement}}
 */
export function toggle(label, on, hint) {
  const id = `field-${++count}`;
  const box = el("input", { type: "checkbox", role: "switch", id, checked: on, "aria-describedby": hint ? `${id}-hint` : null });
  const node = el("div", { class: "toggle" }, el("label", { htmlFor: id }, label), box, hint && el("p", { id: `${id}-hint`, class: "dim" }, hint));
  return { node, box };
}

/** @param {unknown} error @returns {string} what went wrong, in words for an owner */
export function errorWords(error) {
  const code = typeof error === "string" ? error : codeOf(error);
  for (const key of [`owner.error.${code}`, `error.${code}`]) if (has(key)) return t(key);
  return t("error.other", { code: code.replaceAll("_", " ") });
}

/** Codes for which the bridge's own sentence says more than ours. */
const SAID = new Set(["bad_request", "bad_name", "name_taken", "internal", "store_error", "link_error", "adapter_unavailable", "ambiguous", "outcome_unknown",
  "unknown_lock", "protocol_error", "bad_parameter", "own_authorization"]);

/** @param {unknown} error @returns {HTMLElement} */
export function problemNote(error) {
  const said = error instanceof Refusal && (SAID.has(error.code) || !(has(`owner.error.${error.code}`) || has(`error.${error.code}`))) ? error.said : "";
  return note("failed", el("p", {}, errorWords(error)), said && el("p", { class: "dim", lang: "en" }, said));
}

/**
 * Do something that takes a while: the button waits, and the words below tell how it ended.
 * @template T @param {HTMLButtonElement | null} button @param {HTMLElement} words @param {() => Promise<T>} work
 * @param {{busy?: string, done?: string | ((value: T) => string)}} [told] @returns {Promise<T | undefined>} undefined if it failed
 */
export async function run(button, words, work, told = {}) {
  if (button?.getAttribute("aria-disabled") === "true") return undefined;
  button?.setAttribute("aria-disabled", "true");
  const busy = told.busy ?? t("owner.asking");
  words.replaceChildren(el("p", { class: "doing" }, busy), el("progress", { "aria-label": busy }));
  say(busy);
  try {
    const value = await work().finally(calmed);
    const done = typeof told.done === "function" ? told.done(value) : told.done;
    words.replaceChildren(...(done ? [note("done", el("p", {}, done))] : []));
    say(done ?? "");
    return value;
  } catch (error) {
    if (!(error instanceof Problem)) console.error(String(error));
    words.replaceChildren(problemNote(error));
    say(errorWords(error));
    words.scrollIntoView({ block: "nearest" });
    return undefined;
  } finally {
    button?.setAttribute("aria-disabled", "false");
  }
}

/** Where `run` tells how it goes. */
export const wordsPlace = () => el("div", { class: "words", role: "status" });

/** A button of a list that leads on. @param {string} name of the symbol @param {string} title @param {string | null} below @param {() => void} onclick */
export const lead = (name, title, below, onclick) =>
  el("li", {}, el("button", { type: "button", class: "card", onclick },
    symbol(name), el("span", { class: "grow" }, el("strong", {}, title), below && el("span", { class: "dim" }, below))));

/** @param {string} label @param {() => void} onclick @param {string} [kind] `primary`, `plain` or `danger` */
export const button = (label, onclick, kind = "primary") => el("button", { type: "button", class: `${kind} wide`, onclick }, label);

/** Names and values. @param {...[string, string | Node | null | undefined]} lines those without a value are left out */
export const table = (...lines) =>
  el("dl", {}, ...lines.filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
