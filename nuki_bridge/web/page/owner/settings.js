/** The lock's settings by name, with units. "Bluetooth pairing" stands first: who may pair gets a key. */

import { has, t } from "../texts.js";
import { el, head } from "../ui.js";
import { choice, field, input, run, toggle, wordsPlace } from "./form.js";
import { GROUPS, OPENER_GROUPS } from "./settings_table.js";
import { kindOf } from "./words.js";

/** @param {string} name @returns {string} */
const label = (name) => t(`owner.set.${name}`);
/** @param {string} name @returns {string | undefined} */
const hint = (name) => (has(`owner.set.${name}.hint`) ? t(`owner.set.${name}.hint`) : undefined);
/** @param {string} value of a setting that is one of a few words */
const wordOf = (value) => (has(`owner.word.${value}`) ? t(`owner.word.${value}`) : value);

/**
 * One setting as a field. @param {string} name @param {import("./settings_table.js").Setting} setting @param {any} value
 * @returns {{node: HTMLElement, value: () => any}}
 */
function asked(name, setting, value) {
  if (setting.kind === "flag") {
    const { node, box } = toggle(label(name), value, hint(name));
    return { node, value: () => box.checked };
  }
  if (setting.kind === "word") {
    const words = /** @type {string[]} */ (setting.words), all = words.includes(value) ? words : [...words, String(value)];
    const select = choice(all.map((each) => [each, wordOf(each)]), String(value));
    return { node: field(label(name), select, hint(name)), value: () => (select.value === String(value) ? value : select.value) };
  }
  if (setting.kind === "number") {
    const box = input({ type: "number", min: setting.low, max: setting.high, step: setting.step ?? 1, value: String(value), inputMode: "decimal", required: true });
    return { node: field(setting.unit ? `${label(name)} (${setting.unit})` : label(name), box, hint(name)), value: () => (box.value === "" ? value : Number(box.value)) };
  }
  const box = input({ type: setting.kind, value: value ?? "", maxLength: 32, required: true });
  return { node: field(label(name), box, hint(name)), value: () => box.value };
}

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function settingsView({ house, lock, key, back }) {
  const groups = kindOf(lock()) === "opener" ? OPENER_GROUPS : GROUPS;
  const words = wordsPlace(), body = el("div", { class: "part" });
  /** @param {any} config */
  const show = (config) => body.replaceChildren(...Object.entries(groups).flatMap(([group, settings]) => {
    const there = Object.entries(settings).filter(([name]) => config[name] !== null && config[name] !== undefined);
    if (!there.length) return [];
    const fields = there.map(([name, setting]) => ({ name, ...asked(name, setting, config[name]) }));
    const told = wordsPlace(), save = el("button", { type: "submit", class: "primary wide" }, t("owner.save"));
    const submit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const changed = Object.fromEntries(fields.filter((each) => each.value() !== config[each.name]).map((each) => [each.name, each.value()]));
      if (!Object.keys(changed).length) return told.replaceChildren(el("p", { class: "doing" }, t("owner.no-change")));
      const now = await run(save, told, () => house.request(key, "config/set", changed), { done: t("owner.confirmed") });
      if (now) {
        const wrong = fields.filter((each) => JSON.stringify(now[each.name]) !== JSON.stringify(each.value()));
        Object.assign(config, now);
        if (wrong.length) told.replaceChildren(el("p", { class: "wrong" }, t("owner.set.other", { names: wrong.map((each) => label(each.name)).join(", ") })));
      }
      return undefined;
    };
    return [el(group === "pairing" ? "section" : "details", { class: group === "pairing" ? "part box" : "more box" },
      group !== "pairing" && el("summary", {}, t(`owner.group.${group}`)),
      group === "pairing" && el("h2", {}, t("owner.group.pairing")),
      el("form", { onsubmit: submit }, ...fields.map((each) => each.node), told, save))];
  }));
  run(null, words, () => house.request(key, "config/get", {}, 60000)).then((config) => config && show(config));
  return { node: el("div", { class: "view" }, head(t("owner.settings"), back), words, body) };
}
