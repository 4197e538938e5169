/** The batteries over time as a picture: a line from day to day, for the eye and, in a sentence, for the ear. */

import { language, t } from "../texts.js";
import { el } from "../ui.js";
import { shape } from "./shape.js";
import { number, percent } from "./words.js";

/** One day as the bridge tells it. @typedef {{day: string, level: number | null, voltage_mv: number | null, critical: boolean, charging: boolean}} Day */

const DAY_MS = 86_400_000;
const WIDTH = 480, LEFT = 88, TOP = 14, BOTTOM = 170, HEIGHT = 210;
/** A line is drawn over so many days at least, so that two days are no cliff. */
const LEAST_DAYS = 14;

const at = (/** @type {string} */ day) => Date.parse(`${day}T12:00:00Z`);
const dayWords = (/** @type {string} */ day, /** @type {"short" | "long"} */ month = "short") =>
  new Intl.DateTimeFormat(language, { day: "numeric", month, timeZone: "UTC" }).format(at(day));
const volts = (/** @type {number} */ mv) => `${number(mv / 1000, { maximumFractionDigits: 2 })}\u00a0V`;

/** What there is to draw: the level, or the voltage of a lock that tells no level. @param {Day[]} days */
function measured(days) {
  const key = days.some((each) => each.level !== null) ? "level" : "voltage_mv";
  const points = days.flatMap((each) => (each[key] === null ? [] : [{ day: each.day, value: Number(each[key]), charging: each.charging, critical: each.critical }]));
  return { points, words: key === "level" ? percent : volts, isLevel: key === "level" };
}

/**
 * @param {Day[]} days the oldest first
 * @returns {HTMLElement}
 */
export function batteryDays(days) {
  const { points, words, isLevel } = measured(days);
  const first = points[0], last = points.at(-1);
  if (!first || !last) return el("p", { class: "dim" }, t("owner.battery.no-days"));
  const values = points.map((each) => each.value);
  // A level is shown between empty and full, a voltage between the lowest and the highest that there were.
  const low = isLevel ? 0 : Math.floor(Math.min(...values) / 500) * 500, high = isLevel ? 100 : Math.max(low + 500, Math.ceil(Math.max(...values) / 500) * 500);
  const end = at(last.day), start = Math.min(at(first.day), end - (LEAST_DAYS - 1) * DAY_MS);
  const x = (/** @type {string} */ day) => LEFT + ((at(day) - start) / (end - start)) * (WIDTH - LEFT - 12);
  const y = (/** @type {number} */ value) => BOTTOM - ((value - low) / (high - low)) * (BOTTOM - TOP);
  const label = (/** @type {string} */ said, /** @type {number} */ left, /** @type {number} */ top, /** @type {string} */ anchor) =>
    shape("text", { x: left, y: top, "text-anchor": anchor }, document.createTextNode(said));
  const sentence = points.length === 1 ? t("owner.battery.one-day", { day: dayWords(last.day, "long"), value: words(last.value) })
    : t("owner.battery.days", { first: dayWords(first.day, "long"), from: words(first.value), last: dayWords(last.day, "long"), to: words(last.value) });
  const lines = [high, (low + high) / 2, low].flatMap((value) => [shape("line", { x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value), class: "grid" }),
    label(words(value), LEFT - 8, y(value) + 8, "end")]);
  // A day that is missing breaks the line: nobody knows what was then.
  let path = "", before = "";
  for (const each of points) {
    path += `${before && at(each.day) - at(before) <= 1.5 * DAY_MS ? "L" : "M"}${x(each.day).toFixed(1)} ${y(each.value).toFixed(1)}`;
    before = each.day;
  }
  const isAlone = (/** @type {number} */ place) => [points[place - 1], points[place + 1]].every((each) => !each || Math.abs(at(each.day) - at(points[place].day)) > 1.5 * DAY_MS);
  const marks = points.flatMap((each, place) => (each.critical || each.charging || isAlone(place)
    ? [shape("circle", { cx: x(each.day), cy: y(each.value), r: 5.5, class: `mark ${each.critical ? "warning" : each.charging ? "charging" : "level"}` })] : []));
  const picture = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "timeline battery-days", role: "img", "aria-label": sentence }, ...lines,
    shape("path", { d: path, class: "level" }), ...marks,
    first === last ? label(dayWords(last.day), WIDTH - 12, HEIGHT - 8, "end") : label(dayWords(first.day), LEFT, HEIGHT - 8, "start"),
    ...(first === last ? [] : [label(dayWords(last.day), WIDTH, HEIGHT - 8, "end")]));
  const key = (/** @type {string} */ kind, /** @type {boolean} */ isThere) => isThere && el("li", {}, sample(kind), t(`owner.battery.mark.${kind}`));
  const marked = [key("charging", points.some((each) => each.charging && !each.critical)), key("warning", points.some((each) => each.critical))].filter(Boolean);
  return el("figure", { class: "battery-days" }, /** @type {any} */ (picture), el("figcaption", { class: "dim" }, sentence), marked.length ? el("ul", { class: "legend dim" }, ...marked) : "");
}

/** @param {string} kind @returns {any} the mark as it stands in the legend */
const sample = (kind) => shape("svg", { viewBox: "0 0 14 14", class: "timeline sample", "aria-hidden": "true" }, shape("circle", { cx: 7, cy: 7, r: 5.5, class: `mark ${kind}` }));
