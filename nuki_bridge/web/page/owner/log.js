/** The lock's log: who did what, day by day, each with a line of time; further back on demand. */

import { has, language, t } from "../texts.js";
import { el, head, note, symbol } from "../ui.js";
import { button, choice, errorWords, field, run, wordsPlace } from "./form.js";
import { LIST_MS } from "./house.js";
import { shape } from "./shape.js";
import { number } from "./words.js";

/** So many entries are read at a time. */
const PAGE_SIZE = 40;
/** Kinds of entries that can be chosen. @type {Record<string, (entry: any) => boolean>} */
const KINDS = {
  all: () => true,
  opened: (entry) => ["unlock", "unlatch", "lock_n_go", "lock_n_go_unlatch"].includes(entry.action),
  door: (entry) => entry.type === "door",
  keypad: (entry) => entry.type === "keypad" || entry.source === "keypad",
  failed: (entry) => !!entry.completion && entry.completion !== "success",
};

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function logView({ house, key, back }) {
  /** @type {any[]} */
  let entries = [];
  let isWhole = false;
  const words = wordsPlace(), list = el("div", { class: "part" });
  const kind = choice(Object.keys(KINDS).map((each) => [each, t(`owner.log.${each}`)]), "all");
  const who = choice([["", t("owner.log.everybody")]], "");
  const older = button(t("owner.log.older"), () => read(entries.at(-1)?.index), "plain");

  const read = async (/** @type {number | undefined} */ before) => {
    const found = await run(older, words, () => house.request(key, "log/get", { count: PAGE_SIZE, ...(before ? { before } : {}) }, LIST_MS));
    if (!found) return;
    isWhole = found.length < PAGE_SIZE;
    entries = [...(before ? entries : []), ...found];
    const names = [...new Set(entries.map((each) => each.user?.name).filter(Boolean))].sort();
    const chosen = who.value;
    who.replaceChildren(el("option", { value: "" }, t("owner.log.everybody")), ...names.map((name) => el("option", { value: name }, name)));
    who.value = names.includes(chosen) ? chosen : "";
    draw();
  };
  const draw = () => {
    const shown = entries.filter((each) => KINDS[kind.value](each) && (!who.value || each.user?.name === who.value));
    /** @type {Map<string, any[]>} */
    const days = new Map();
    for (const each of shown) {
      const day = each.time?.slice(0, 10) ?? "";
      days.set(day, [...(days.get(day) ?? []), each]);
    }
    list.replaceChildren(...[...days].map(([day, all]) => el("section", { class: "part" }, el("h2", {}, day ? dayWords(day) : t("owner.log.no-time")), day && timeline(all),
      el("ol", { class: "log" }, ...all.map((each) => el("li", {}, symbol(entrySymbol(each)),
        el("span", { class: "grow" }, el("span", {}, entryWords(each)), el("span", { class: "dim" }, entryDetail(each))),
        el("time", { class: "dim" }, each.time?.slice(11, 16) ?? "")))))));
    if (!shown.length) list.replaceChildren(el("p", { class: "dim" }, t(entries.length ? "owner.log.none-of-these" : "owner.log.empty")));
    older.hidden = isWhole;
  };
  kind.onchange = who.onchange = draw;

  const keeping = wordsPlace();
  const set = (/** @type {boolean} */ enabled) => {
    const press = button(t(enabled ? "owner.log.on" : "owner.log.off"), () => run(press, keeping, () => house.request(key, "log/set", { enabled }),
      { done: (data) => t(data.enabled ? "owner.log.is-on" : "owner.log.is-off") }), "plain");
    return press;
  };
  read(undefined);
  return {
    node: el("div", { class: "view" }, head(t("owner.log"), back),
      el("div", { class: "pair" }, field(t("owner.log.who"), who), field(t("owner.log.what"), kind)), list, words, older,
      el("details", { class: "more" }, el("summary", {}, t("owner.log.keep")), note("warning", el("p", {}, t("owner.log.off.hint"))), keeping, set(true), set(false))),
  };
}

/** @param {string} day such as 2026-12-01 */
const dayWords = (day) => new Intl.DateTimeFormat(language, { dateStyle: "full", timeZone: "UTC" }).format(new Date(`${day}T12:00:00Z`));

/** A day from 0 to 24 with a mark for each entry, for the eye alone: the list below says the same. @param {any[]} entries */
function timeline(entries) {
  const svg = shape("svg", { viewBox: "0 0 480 52", class: "timeline", "aria-hidden": "true" });
  svg.append(shape("line", { x1: 0, x2: 480, y1: 22, y2: 22, class: "axis" }));
  for (const hour of [0, 6, 12, 18, 24]) {
    const label = shape("text", { x: Math.min(466, Math.max(8, hour * 20)), y: 49, "text-anchor": "middle" });
    label.textContent = number(hour);
    svg.append(shape("line", { x1: hour * 20, x2: hour * 20, y1: 17, y2: 27, class: "axis" }), label);
  }
  for (const each of entries) {
    const [hours, minutes] = each.time.slice(11, 16).split(":").map(Number), x = (hours + minutes / 60) * 20;
    const sign = entrySymbol(each);
    svg.append(shape("circle", { cx: Math.min(474, Math.max(6, x)), cy: sign === "locked" ? 14 : sign === "warning" ? 22 : 8, r: 5.5, class: `mark ${sign}` }));
  }
  return /** @type {any} */ (svg);
}

/** @param {any} entry @returns {string} the symbol of a log entry */
function entrySymbol(entry) {
  if (entry.completion && entry.completion !== "success") return "warning";
  if (entry.type === "door") return entry.door === "open" ? "open" : "closed";
  if (entry.type === "lock_action" || entry.type === "keypad") return entry.action === "lock" || entry.action === "full_lock" ? "locked" : entry.action === "unlatch" ? "open" : "unlocked";
  return "settings";
}

/** @param {any} entry @returns {string} who did what */
export function entryWords(entry) {
  const who = entry.user?.name || (has(`owner.by.${entry.source}`) ? t(`owner.by.${entry.source}`) : t("owner.by.unknown"));
  if (entry.type === "door") return has(`door.${entry.door}`) ? t(`door.${entry.door}`) : t("door.unknown");
  if (entry.type === "lock_action" || entry.type === "keypad") {
    const key = `owner.did.${entry.action}`;
    return has(key) ? t(key, { who }) : `${who}: ${entry.action ?? "–"}`;
  }
  const key = `owner.log.type.${entry.type}${"enabled" in entry ? (entry.enabled ? ".on" : ".off") : ""}`;
  return has(key) ? t(key, { who }) : entry.type.replaceAll("_", " ");
}

/** @param {any} entry @returns {string} by what, and what went wrong */
function entryDetail(entry) {
  const source = entry.type !== "door" && has(`owner.source.${entry.source}`) ? t(`owner.source.${entry.source}`) : "";
  const failed = entry.completion && entry.completion !== "success" ? errorWords(entry.completion) : "";
  return [source, failed].filter(Boolean).join(" · ");
}
