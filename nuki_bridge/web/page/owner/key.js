/** A key for a device of the owner's own, without an invitation: for this phone, or as a file. It is told this once. */

import { t } from "../texts.js";
import { el, head } from "../ui.js";
import { accessForm } from "./access.js";
import { button, field, input, run, toggle, wordsPlace } from "./form.js";

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function keyView({ page, house, key, back }) {
  const name = input({ maxLength: 32, required: true, placeholder: t("owner.key.example") });
  const remote = toggle(t("owner.remote"), true, t("owner.remote.hint"));
  const access = accessForm(null);
  const words = wordsPlace();
  const form = el("form", { onsubmit: (/** @type {Event} */ event) => event.preventDefault() });
  const make = (/** @type {HTMLButtonElement} */ pressed, /** @type {(credential: any) => Promise<void>} */ keep, /** @type {string} */ done) => {
    if (!form.reportValidity()) return;
    run(pressed, words, async () => {
      await keep(await house.request(key, "users/add", { name: name.value.trim(), remote: remote.box.checked, access: access.value() }));
      form.remove();
    }, { done });
  };
  const here = button(t("owner.key.here"), () => make(here, async (credential) => page.add(await page.store.add(credential)), t("owner.key.kept")));
  const file = button(t("owner.key.file"), () => make(file, async (credential) => {
    const url = URL.createObjectURL(new Blob([JSON.stringify(credential)], { type: "application/json" }));
    el("a", { href: url, download: `${credential.lock.name}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }, t("owner.key.saved")), "plain");
  form.append(field(t("owner.name"), name), remote.node, access.node, here, file);
  return { node: el("div", { class: "view" }, head(t("owner.key"), back), el("p", {}, t("owner.key.intro")), words, form) };
}
