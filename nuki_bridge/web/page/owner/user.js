/** One user of a lock: name, limits, on and off, away with them. What is shown afterwards is what the lock confirmed. */

import { t } from "../texts.js";
import { ask, el, head, note } from "../ui.js";
import { accessForm } from "./access.js";
import { field, input, problemNote, run, table, toggle, wordsPlace } from "./form.js";
import { LIST_MS } from "./house.js";
import { kindWords } from "./users.js";
import { number, when } from "./words.js";

/** @param {import("./main.js").Context} context @returns {Promise<import("../app.js").Shown>} */
export async function userView({ house, lock, key, path, back }) {
  const id = Number(path[1]);
  const words = wordsPlace();
  const body = el("div", { class: "part" });
  const title = head("…", back);
  /** @param {any} user */
  const show = (user) => {
    const heading = /** @type {HTMLElement} */ (title.querySelector("h1"));
    heading.textContent = user.self ? t("owner.self", { name: user.name }) : user.name;
    const name = input({ value: user.name, maxLength: 32, required: true });
    const enabled = toggle(t("owner.enabled"), user.enabled, t("owner.enabled.hint"));
    const remote = toggle(t("owner.remote"), user.remote, t("owner.remote.hint"));
    const access = accessForm(user.access);
    const save = el("button", { type: "submit", class: "primary wide" }, t("owner.save"));
    const remove = el("button", { type: "button", class: "danger wide" }, t("owner.user.remove"));
    const self = user.self ? { self: true } : {};
    const submit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      /** @type {any} */
      const asked = {};
      if (name.value.trim() !== user.name) asked.rename = name.value.trim();
      if (enabled.box.checked !== user.enabled) asked.enabled = enabled.box.checked;
      if (remote.box.checked !== user.remote) asked.remote = remote.box.checked;
      if (JSON.stringify(ordered(access.value())) !== JSON.stringify(ordered(user.access))) asked.access = access.value();
      if (!Object.keys(asked).length) return words.replaceChildren(el("p", { class: "doing" }, t("owner.no-change")));
      if (user.self && (asked.enabled === false || asked.access || asked.remote === false)
        && !(await ask({ title: t("owner.self.ask"), text: t("owner.self.text"), yes: t("owner.save"), dangerous: true }))) return undefined;
      const now = await run(save, words, () => house.request(key, "users/update", { id, ...asked, ...self }), { done: t("owner.confirmed") });
      if (now) show(now);
      return undefined;
    };
    remove.onclick = async () => {
      const text = t(user.self ? "owner.self.text" : "owner.user.remove.text", { name: user.name });
      if (!(await ask({ title: t("owner.user.remove.ask", { name: user.name }), text, yes: t("owner.user.remove"), dangerous: true }))) return;
      const gone = await run(remove, words, () => house.request(key, "users/remove", { id, ...self }), { done: t("owner.user.removed", { name: user.name }) });
      if (gone !== undefined) body.replaceChildren();
    };
    body.replaceChildren(
      table([t("owner.kind"), kindWords(user)], [t("owner.created"), when(user.created)], [t("owner.last"), when(user.last_active)],
        [t("owner.count"), user.lock_count === null ? null : number(user.lock_count)]),
      el("form", { onsubmit: submit }, field(t("owner.name"), name), enabled.node, remote.node, access.node, save), remove);
  };
  const known = (lock().users ?? []).find((each) => each.id === id);
  if (known) show(known);
  else {
    const found = await house.request(key, "users/list", {}, LIST_MS).catch((error) => (words.replaceChildren(problemNote(error)), null));
    const user = found?.find((/** @type {any} */ each) => each.id === id);
    if (user) show(user);
    else if (found) words.replaceChildren(note("warning", el("p", {}, t("owner.user.gone"))));
  }
  return { node: el("div", { class: "view" }, title, words, body) };
}

/** Limits in one order, so that they can be compared. @param {any} access */
const ordered = (access) => (access ? Object.entries(access).filter(([, value]) => value !== null).sort(([a], [b]) => a.localeCompare(b)) : null);
