/** The keypad's codes. Digits are asked for, shown only for a moment, and never kept. */

import { accessText, t } from "../texts.js";
import { ask, el, head } from "../ui.js";
import { accessForm } from "./access.js";
import { button, field, input, run, secret, toggle, wordsPlace } from "./form.js";
import { LIST_MS } from "./house.js";
import { number, when } from "./words.js";

/** Digits are shown so long, in ms. */
const SHOWN_MS = 30000;
const DIGITS = "(?!12)[1-9]{6}";

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function keypadView({ house, key, back }) {
  const words = wordsPlace(), list = el("div", { class: "part" });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let hiding;
  const digits = (/** @type {boolean} */ required) => secret({ pattern: DIGITS, required, title: t("owner.keypad.rule") });

  const read = async () => {
    const found = await run(null, words, () => house.request(key, "keypad/list", {}, LIST_MS));
    if (found) list.replaceChildren(...found.map(one), ...(found.length ? [] : [el("p", { class: "dim" }, t("owner.keypad.none"))]));
  };

  /** @param {any} code */
  const one = (code) => {
    const name = input({ value: code.name, maxLength: 20, required: true });
    const fresh = digits(false);
    const enabled = toggle(t("owner.enabled"), code.enabled);
    const access = accessForm(code.access);
    const told = wordsPlace();
    const save = el("button", { type: "submit", class: "primary wide" }, t("owner.save"));
    const submit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      /** @type {any} */
      const asked = { id: code.id };
      if (name.value.trim() !== code.name) asked.rename = name.value.trim();
      if (fresh.value) asked.code = fresh.value;
      if (enabled.box.checked !== code.enabled) asked.enabled = enabled.box.checked;
      if (JSON.stringify(access.value()) !== JSON.stringify(code.access)) asked.access = access.value();
      const now = await run(save, told, () => house.request(key, "keypad/update", asked), { done: t("owner.confirmed") });
      fresh.value = "";
      if (now) {
        Object.assign(code, now);
        /** @type {HTMLElement} */ (node.querySelector("summary")).textContent = title(code);
      }
    };
    const remove = button(t("owner.keypad.remove"), async () => {
      if (!(await ask({ title: t("owner.keypad.remove.ask", { name: code.name }), yes: t("owner.keypad.remove"), dangerous: true }))) return;
      if ((await run(remove, words, () => house.request(key, "keypad/remove", { id: code.id }), { done: t("owner.keypad.removed", { name: code.name }) })) !== undefined) node.remove();
    }, "danger");
    const node = el("details", { class: "more box" }, el("summary", {}, title(code)),
      el("p", { class: "dim" }, [...accessText(code.access), t("owner.keypad.used", { count: number(code.lock_count ?? 0) }), code.last_active ? when(code.last_active) : ""].filter(Boolean).join(" · ")),
      el("form", { onsubmit: submit }, field(t("owner.name"), name), field(t("owner.keypad.new-digits"), fresh, t("owner.keypad.rule")), enabled.node, access.node, told, save), remove);
    return node;
  };
  const title = (/** @type {any} */ code) => (code.enabled ? code.name : `${code.name} (${t("owner.disabled")})`);

  const shown = el("div", { class: "part" });
  const look = button(t("owner.keypad.show"), async () => {
    const found = await run(look, words, () => house.request(key, "keypad/list", { codes: true }, LIST_MS));
    if (!found) return;
    shown.replaceChildren(el("dl", {}, ...found.flatMap((/** @type {any} */ each) => [el("dt", {}, each.name), el("dd", { class: "digits" }, each.code ?? "–")])));
    clearTimeout(hiding);
    hiding = setTimeout(() => shown.replaceChildren(), SHOWN_MS);
  }, "plain");

  const name = input({ maxLength: 20, required: true });
  const code = digits(true), access = accessForm(null), told = wordsPlace();
  const add = el("button", { type: "submit", class: "primary wide" }, t("owner.keypad.add"));
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const asked = { name: name.value.trim(), code: code.value, access: access.value() };
    const made = await run(add, told, () => house.request(key, "keypad/add", asked), { done: t("owner.keypad.added", { name: asked.name }) });
    code.value = "";
    if (!made) return;
    name.value = "";
    list.querySelector(":scope > .dim")?.remove();
    list.append(one(made));
  };
  read();
  return {
    node: el("div", { class: "view" }, head(t("owner.keypad"), back), list, words, look, shown,
      el("section", { class: "part box" }, el("h2", {}, t("owner.keypad.add")),
        el("form", { onsubmit: submit }, field(t("owner.name"), name), field(t("owner.keypad.digits"), code, t("owner.keypad.rule")), access.node, told, add))),
    end() {
      clearTimeout(hiding);
      shown.replaceChildren();
      code.value = "";
    },
  };
}
