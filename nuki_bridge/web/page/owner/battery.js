/** The lock's battery: what it tells of itself, what it measured during its last turn, and how it was on the days before. */

import { calmed } from "../calm.js";
import { t } from "../texts.js";
import { el, head, note } from "../ui.js";
import { batteryDays } from "./battery_days.js";
import { button, problemNote, run, table, wordsPlace } from "./form.js";
import { batteryWords, number } from "./words.js";

/** So many days are shown. */
const DAYS = 90;

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function batteryView({ house, lock, key, back }) {
  const words = wordsPlace(), gauge = el("div", { class: "part" }), body = el("div", { class: "part" }), past = el("section", { class: "part" });
  const unit = (/** @type {number | null | undefined} */ value, /** @type {string} */ name, scale = 1, digits = 0) =>
    (value === null || value === undefined ? null : `${number(value * scale, { maximumFractionDigits: digits })}${name === "°" ? "" : "\u00a0"}${name}`);
  /** @param {any} report */
  const show = (report) => {
    const battery = lock().battery ?? lock().status?.battery;
    const level = battery?.level;
    gauge.replaceChildren(
      level !== null && level !== undefined ? el("meter", { min: 0, max: 100, low: 20, optimum: 100, value: level, "aria-label": t("owner.battery") }) : "",
      battery?.critical ? note("warning", el("p", {}, t("owner.battery.critical"))) : "");
    body.replaceChildren(table([t("owner.battery"), batteryWords(lock()) || t("owner.battery.fine")], [t("owner.battery.voltage"), unit(report?.voltage_mv, "V", 0.001, 2)],
        [t("owner.battery.lowest"), unit(report?.lowest_voltage_mv, "V", 0.001, 2)], [t("owner.battery.start"), unit(report?.start_voltage_mv, "V", 0.001, 2)],
        [t("owner.battery.current"), unit(report?.max_turn_current_ma, "mA")], [t("owner.battery.drain"), unit(report?.drain_mws, "Ws", 0.001, 1)],
        [t("owner.battery.resistance"), unit(report?.resistance_mohm, "mΩ")], [t("owner.battery.distance"), unit(report?.lock_distance_deg, "°")],
        [t("owner.battery.temperature"), unit(report?.start_temperature_c, "°C")]));
  };
  const read = button(t("owner.battery.read"), async () => {
    const found = await run(read, words, () => house.request(key, "battery/get"));
    if (found) show(found);
    await remember();
  });
  const remember = async () => {
    const heading = el("h2", {}, t("owner.battery.over-time"));
    try {
      past.replaceChildren(heading, batteryDays(await house.request(key, "battery/history", { days: DAYS }).finally(calmed)));
    } catch (error) {
      past.replaceChildren(heading, problemNote(error));
    }
  };
  remember();
  show(lock().status?.battery_report);
  return { node: el("div", { class: "view" }, head(t("owner.battery"), back), gauge, past, body, el("p", { class: "dim" }, t("owner.battery.hint")), words, read) };
}
