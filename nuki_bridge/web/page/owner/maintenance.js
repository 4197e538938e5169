/** What is rarely done to a lock: ask it anew, set its clock, calibrate, start it again, give it up. */

import { t } from "../texts.js";
import { ask, el, head } from "../ui.js";
import { button, field, input, run, table, wordsPlace } from "./form.js";
import { kindOf, nameOf, stateWords, when } from "./words.js";

/** So long the lock is left to the maker's app, as the words say, in s. */
const PAUSE_S = 600;

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function maintenanceView({ page, house, lock, key, back }) {
  const { status } = lock();
  const part = (/** @type {string} */ name, /** @type {(words: HTMLElement, press: HTMLButtonElement) => Promise<unknown> | unknown} */ work, kind = "primary", /** @type {HTMLElement[]} */ ...more) => {
    const words = wordsPlace();
    const press = button(t(`owner.${name}`), () => work(words, press), kind);
    return el("section", { class: "part box" }, el("h2", {}, t(`owner.${name}.title`)), el("p", { class: "dim" }, t(`owner.${name}.hint`)), ...more, words, press);
  };
  const time = input({ type: "datetime-local", step: 1 });
  return {
    node: el("div", { class: "view" }, head(t("owner.maintenance"), back),
      table([t("owner.info.name"), status?.name_in_lock], ["Nuki ID", status?.nuki_id], [t("owner.info.address"), status?.address], [t("owner.info.firmware"), status?.firmware],
        [t("owner.info.hardware"), status?.hardware], [t("owner.info.updated"), when(status?.updated)]),
      part("refresh", (words, press) => run(press, words, () => house.request(key, "refresh"), { done: () => t("owner.refresh.done", { state: stateWords(lock()) }) })),
      part("time", (words, press) => run(press, words, () => house.request(key, "time/set", time.value ? { time: time.value } : {}),
        { done: (data) => t("owner.time.done", { time: when(data?.time) }) }), "primary", field(t("owner.time.other"), time, t("owner.time.other.hint"))),
      part("pause", (words, press) => run(press, words, () => house.request(key, "pause", lock().status?.paused_until ? { enabled: false } : { for: PAUSE_S }),
        { done: (data) => (data?.paused_until ? t("owner.pause.done", { time: when(data.paused_until) }) : t("owner.pause.ended")) })),
      kindOf(lock()) === "lock" && part("calibrate", async (words, press) => {
        if (!(await ask({ title: t("owner.calibrate.ask"), text: t("owner.calibrate.hint"), yes: t("owner.calibrate") }))) return;
        await run(press, words, () => house.request(key, "calibrate", {}, 120000), { busy: t("owner.calibrate.busy"), done: t("owner.calibrate.done") });
      }),
      part("reboot", async (words, press) => {
        if (!(await ask({ title: t("owner.reboot.ask"), text: t("owner.reboot.hint"), yes: t("owner.reboot") }))) return;
        await run(press, words, () => house.request(key, "reboot"), { done: (data) => t(data?.confirmed === false ? "owner.reboot.unconfirmed" : "owner.reboot.done") });
      }),
      part("unpair", async (words, press) => {
        const { base, name } = lock(), door = nameOf(lock(), house);
        if (!(await ask({ title: t("owner.unpair.ask", { door }), text: t("owner.unpair.hint"), yes: t("owner.unpair"), dangerous: true }))) return;
        const gone = await run(press, words, () => house.request(`${base}/bridge`, "unpair", { name }, 60000), { done: t("owner.unpair.done", { door }) });
        if (gone !== undefined) setTimeout(() => page.place.path?.[0] === "maintenance" && page.go({ view: "owner" }), 2500);
      }, "danger")),
  };
}
