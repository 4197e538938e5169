/** When somebody may: the limits of a user, an invitation or a keypad code as a form. Times are the lock's. */

import { t, weekdayText } from "../texts.js";
import { el } from "../ui.js";
import { field, input, toggle } from "./form.js";

export const DAYS = ["mo", "tu", "we", "th", "fr", "sa", "su"];

/**
 * Boxes for the days of the week; one at least has to be chosen, because none would mean all. @param {string[]} chosen
 * @returns {{node: HTMLElement, days: () => string[], check: (isAsked?: boolean) => void}}
 */
export function weekdays(chosen) {
  const boxes = DAYS.map((day) => el("input", { type: "checkbox", value: day, checked: !chosen.length || chosen.includes(day) }));
  const days = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const check = (isAsked = true) => boxes[0].setCustomValidity(isAsked && !days().length ? t("owner.access.no-day") : "");
  const node = el("fieldset", { class: "days", onchange: () => check() }, el("legend", {}, t("owner.access.weekdays")),
    ...boxes.map((box, index) => el("label", {}, box, el("span", {}, weekdayText(DAYS[index])))));
  return { node, days, check };
}

/**
 * @param {import("../credential.js").Access | null | undefined} access
 * @returns {{node: HTMLElement, value: () => import("../credential.js").Access | null}} null is: at any time
 */
export function accessForm(access) {
  const limited = toggle(t("owner.access.limited"), !!access, t("owner.access.hint"));
  const moment = (/** @type {string | undefined} */ value) => input({ type: "datetime-local", value: value?.slice(0, 16) ?? "" });
  const from = moment(access?.from), until = moment(access?.until);
  const early = input({ type: "time", value: access?.time_from ?? "" }), late = input({ type: "time", value: access?.time_until ?? "" });
  const days = weekdays(access?.weekdays ?? []);
  const more = el("div", { class: "part", hidden: !access },
    field(t("owner.access.from"), from), field(t("owner.access.until"), until), days.node,
    el("div", { class: "pair" }, field(t("owner.access.time_from"), early), field(t("owner.access.time_until"), late)));
  const value = () => {
    if (!limited.box.checked) return null;
    /** @type {any} */
    const found = {};
    if (from.value) found.from = same(from.value, access?.from);
    if (until.value) found.until = same(until.value, access?.until);
    const chosen = days.days();
    if (chosen.length && chosen.length < 7) found.weekdays = chosen;
    if (early.value) found.time_from = early.value;
    if (late.value) found.time_until = late.value;
    return Object.keys(found).length ? found : null;
  };
  /** Whoever wants a limit gets one, or is told that there is none yet. */
  const check = () => {
    more.hidden = !limited.box.checked;
    days.check(limited.box.checked);
    from.setCustomValidity(limited.box.checked && days.days().length && !value() ? t("owner.access.no-limit") : "");
    for (const [one, other] of [[early, late], [late, early]]) one.required = limited.box.checked && other.value !== "";
  };
  const node = el("div", { class: "part", onchange: check, oninput: check }, limited.node, more);
  check();
  return { node, value };
}

/** What was not changed keeps its seconds and its offset. @param {string} typed @param {string | undefined} before */
const same = (typed, before) => (before?.slice(0, 16) === typed ? before : typed);
