/** What the lock does by its own clock, without bridge or phone. */

import { has, t, weekdayText } from "../texts.js";
import { ask, el, head } from "../ui.js";
import { weekdays } from "./access.js";
import { button, choice, field, input, run, toggle, wordsPlace } from "./form.js";
import { LIST_MS } from "./house.js";

const ACTIONS = ["lock", "unlock", "unlatch", "lock_n_go", "lock_n_go_unlatch", "full_lock"];

/** @param {string} action @returns {string} */
const label = (action) => (has(`owner.action.${action}`) ? t(`owner.action.${action}`) : has(`action.${action}`) ? t(`action.${action}`) : action);

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function timeControlView({ house, key, back }) {
  const words = wordsPlace(), list = el("div", { class: "part" });
  /** @param {any} entry */
  const fields = (entry) => {
    const time = input({ type: "time", value: entry?.time ?? "", required: true });
    const action = choice(ACTIONS.map((each) => [each, label(each)]), entry?.action ?? "lock");
    const days = weekdays(entry?.weekdays ?? []);
    return { nodes: [field(t("owner.timecontrol.time"), time), field(t("owner.timecontrol.action"), action), days.node],
      value: () => ({ time: time.value, action: action.value, weekdays: days.days() }) };
  };
  /** Whoever has the lock open by itself shall have meant it. @param {any} asked */
  const sure = async (asked) => asked.action === "lock" || asked.action === "full_lock" || asked.enabled === false
    || ask({ title: t("owner.timecontrol.ask", { action: label(asked.action), time: asked.time }), text: t("owner.timecontrol.ask.text"), yes: t("owner.save"), dangerous: true });
  const title = (/** @type {any} */ entry) => [entry.time ?? "–", label(entry.action), entry.weekdays.length < 7 ? entry.weekdays.map((/** @type {string} */ day) => weekdayText(day)).join(", ") : t("owner.timecontrol.daily"),
    entry.enabled ? "" : t("owner.disabled")].filter(Boolean).join(" · ");

  /** @param {any} entry */
  const one = (entry) => {
    const asked = fields(entry), enabled = toggle(t("owner.enabled"), entry.enabled), told = wordsPlace();
    const save = el("button", { type: "submit", class: "primary wide" }, t("owner.save"));
    const submit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const wanted = { id: entry.id, ...asked.value(), enabled: enabled.box.checked };
      if (!(await sure(wanted))) return;
      const now = await run(save, told, () => house.request(key, "timecontrol/update", wanted), { done: t("owner.confirmed") });
      if (now) /** @type {HTMLElement} */ (node.querySelector("summary")).textContent = title(Object.assign(entry, now));
    };
    const remove = button(t("owner.timecontrol.remove"), async () => {
      if (!(await ask({ title: t("owner.timecontrol.remove.ask"), text: title(entry), yes: t("owner.timecontrol.remove"), dangerous: true }))) return;
      if ((await run(remove, words, () => house.request(key, "timecontrol/remove", { id: entry.id }), { done: t("owner.timecontrol.removed") })) !== undefined) node.remove();
    }, "danger");
    const node = el("details", { class: "more box" }, el("summary", {}, title(entry)), el("form", { onsubmit: submit }, ...asked.nodes, enabled.node, told, save), remove);
    return node;
  };

  const added = fields(null), told = wordsPlace();
  const add = el("button", { type: "submit", class: "primary wide" }, t("owner.timecontrol.add"));
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const wanted = added.value();
    if (!(await sure(wanted))) return;
    const made = await run(add, told, () => house.request(key, "timecontrol/add", wanted), { done: t("owner.confirmed") });
    if (!made) return;
    list.querySelector(":scope > .dim")?.remove();
    list.append(one(made));
  };
  run(null, words, () => house.request(key, "timecontrol/list", {}, LIST_MS)).then((found) =>
    found && list.replaceChildren(...found.map(one), ...(found.length ? [] : [el("p", { class: "dim" }, t("owner.timecontrol.none"))])));
  return {
    node: el("div", { class: "view" }, head(t("owner.timecontrol"), back), el("p", {}, t("owner.timecontrol.intro")), list, words,
      el("section", { class: "part box" }, el("h2", {}, t("owner.timecontrol.add")), el("form", { onsubmit: submit }, ...added.nodes, told, add))),
  };
}
