/** The lock's security PIN: tried, or changed. It is asked for and never remembered by the page. */

import { t } from "../texts.js";
import { ask, el, head } from "../ui.js";
import { field, run, secret, wordsPlace } from "./form.js";

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function pinView({ house, lock, key, back }) {
  const size = lock().status?.family === "ultra" ? 6 : 4;
  const rules = { pattern: `[0-9]{${size}}`, minLength: size, maxLength: size, title: t("owner.pin.digits", { count: String(size) }) };
  const part = (/** @type {string} */ name, /** @type {HTMLInputElement[]} */ fields, /** @type {(words: HTMLElement, button: HTMLButtonElement) => Promise<unknown>} */ work) => {
    const words = wordsPlace();
    const press = el("button", { type: "submit", class: "primary wide" }, t(`owner.pin.${name}`));
    const submit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      await work(words, press);
      for (const each of fields) each.value = "";
    };
    return el("section", { class: "part box" }, el("h2", {}, t(`owner.pin.${name}.title`)), el("p", { class: "dim" }, t(`owner.pin.${name}.hint`)),
      el("form", { onsubmit: submit }, ...fields.map((each, index) => field(t(index ? "owner.pin.again" : "owner.pin"), each, index ? "" : rules.title)), words, press));
  };
  const tried = secret({ ...rules, required: true });
  const fresh = secret({ ...rules, required: true }), again = secret({ ...rules, required: true });
  const known = el("button", { type: "button", class: "plain wide" }, t("owner.pin.known"));
  const knownWords = wordsPlace();
  known.onclick = () => run(known, knownWords, () => house.request(key, "pin/verify"), { done: t("owner.pin.known.right") });
  return {
    node: el("div", { class: "view" }, head(t("owner.pin.title"), back), el("p", {}, t("owner.pin.intro")),
      part("verify", [tried], (words, press) => run(press, words, () => house.request(key, "pin/verify", { pin: tried.value }), { done: t("owner.pin.right") })),
      known, knownWords,
      part("set", [fresh, again], async (words, press) => {
        if (fresh.value !== again.value) return words.replaceChildren(el("p", { class: "wrong", role: "alert" }, t("owner.pin.differ")));
        if (!(await ask({ title: t("owner.pin.ask"), text: t("owner.pin.ask.text"), yes: t("owner.pin.set"), dangerous: true }))) return undefined;
        return run(press, words, () => house.request(key, "pin/set", { pin: fresh.value }), { done: (data) => t(data?.note ? "owner.pin.set.note" : "owner.pin.set.done") });
      })),
    end: () => [tried, fresh, again].forEach((each) => (each.value = "")),
  };
}
