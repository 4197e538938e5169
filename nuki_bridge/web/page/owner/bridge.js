/** The bridge itself: how it is, and how it is started again. */

import { t } from "../texts.js";
import { ask, el, head, note } from "../ui.js";
import { button, errorWords, run, table, wordsPlace } from "./form.js";
import { number, pretty, signalWords, span, when } from "./words.js";

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function bridgeView({ house, key: base, back }) {
  const words = wordsPlace(), again = wordsPlace(), body = el("div", { class: "part" });
  const read = async () => {
    const found = await run(null, words, async () => [await house.request(`${base}/bridge`, "health"), await house.request(`${base}/bridge`, "locks")]);
    if (!found) return;
    const [health, locks] = found;
    body.replaceChildren(
      table([t("owner.bridge.version"), health.version], [t("owner.bridge.uptime"), span(health.uptime_s)],
        [t("owner.bridge.adapter"), health.adapter.available ? health.adapter.name : `${health.adapter.name ?? ""} ${health.adapter.reason ?? ""}`], ["MQTT", health.mqtt_version]),
      ...health.locks.map((/** @type {any} */ lock) => el("section", { class: "part box" }, el("h2", {}, pretty(lock.name)),
        table([t("owner.link"), t(lock.reachable ? (lock.connected ? "owner.link.held" : "owner.link.ready") : "owner.link.away")], [t("owner.signal"), signalWords(lock.rssi)],
          [t("owner.info.updated"), when(lock.updated)], [t("owner.bridge.reconnects"), number(lock.reconnects)],
          [t("owner.bridge.paired-at"), when(locks.find((/** @type {any} */ each) => each.name === lock.name)?.paired_at)]),
        lock.fault && note("warning", el("p", {}, errorWords(lock.fault.code)), el("p", { class: "dim", lang: "en" }, lock.fault.message)))));
  };
  const restart = button(t("owner.restart"), async () => {
    if (!(await ask({ title: t("owner.restart.ask"), text: t("owner.restart.text"), yes: t("owner.restart") }))) return;
    await run(restart, again, () => house.request(`${base}/bridge`, "restart"), { done: t("owner.restart.done") });
  }, "danger");
  read();
  return { node: el("div", { class: "view" }, head(t("owner.bridge"), back), words, body, again, restart) };
}
