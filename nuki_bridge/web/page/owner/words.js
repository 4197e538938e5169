/** What the bridge tells of a lock, in words: state, door, battery, link, signal, faults. */

import { language, statesText, t, has, timeText } from "../texts.js";
import { symbolOf } from "../ui.js";
import { errorWords } from "./form.js";

/** Whether it is an Opener, which opens a door by its intercom. @param {import("./house.js").OwnLock} lock @returns {import("../messages.js").Kind} */
export const kindOf = (lock) => (lock.status?.family === "opener" ? "opener" : "lock");

/** @param {import("./house.js").OwnLock} lock its mode and state as a guest's page has them */
const told = (lock) => ({ state: lock.state ?? "", mode: lock.continuous_mode === "on" ? "continuous_mode" : "door_mode" });

/** @param {import("./house.js").OwnLock} lock @returns {string} the symbol of its state */
export const stateSymbol = (lock) => symbolOf(lock.state ? told(lock) : null, kindOf(lock));

/** @param {import("./house.js").OwnLock} lock @returns {string} */
export const stateWords = (lock) => (lock.state ? statesText(told(lock), kindOf(lock)) : t("state.none"));

/** That somebody rings, while it is news. @param {import("./house.js").OwnLock} lock @returns {string} */
export function ringWords({ ring }) {
  return ring ? t(`ring.${ring.opened ?? "only"}`, { time: timeText(ring.at) }) : "";
}

/** @param {import("./house.js").OwnLock} lock @returns {string} empty without a door sensor */
export const doorWords = (lock) => (has(`door.${lock.status?.door}`) ? t(`door.${lock.status.door}`) : "");

/** A number with its unit. @param {number} value @param {Intl.NumberFormatOptions} [options] */
export const number = (value, options = {}) => new Intl.NumberFormat(language, options).format(value);

/** @param {number} value from 0 to 100 @returns {string} */
export const percent = (value) => number(value / 100, { style: "percent" });

/** @param {import("./house.js").OwnLock} lock @returns {string} */
export function batteryWords(lock) {
  const battery = lock.battery ?? lock.status?.battery;
  if (!battery) return "";
  const level = battery.level === null || battery.level === undefined ? "" : percent(battery.level);
  return [level, battery.charging ? t("owner.battery.charging") : "", battery.critical ? t("details.critical") : "",
    battery.keypad_critical ? t("owner.battery.keypad") : "", battery.door_sensor_critical ? t("owner.battery.sensor") : ""].filter(Boolean).join(", ");
}

/** Signal strength in words and dBm. @param {number | null | undefined} rssi @returns {string} */
export function signalWords(rssi) {
  if (rssi === null || rssi === undefined) return "";
  const key = rssi >= -70 ? "good" : rssi >= -85 ? "fair" : "weak";
  return `${t(`owner.signal.${key}`)} (${number(rssi)}\u00a0dBm)`;
}

/** @param {import("./house.js").OwnLock} lock @param {import("./house.js").House} house @returns {string} */
export function linkWords(lock, house) {
  if (!house.reaches(lock)) return t("owner.link.away");
  return t(lock.status?.connected ? "owner.link.held" : "owner.link.ready");
}

/** What is wrong with a lock, a line each. @param {import("./house.js").OwnLock} lock @param {import("./house.js").House} house @returns {string[]} */
export function faults(lock, house) {
  const found = [], bridge = house.bridges.get(lock.base);
  if (bridge?.state === "offline") return [errorWords("no_bridge")];
  if (bridge?.info?.adapter?.available === false) found.push(errorWords("adapter_unavailable"));
  else if (lock.status?.fault) found.push(errorWords(lock.status.fault.code));
  else if (lock.availability !== "online") found.push(t("owner.link.away.hint"));
  const battery = lock.battery ?? lock.status?.battery;
  if (battery?.critical) found.push(t("owner.battery.critical"));
  if (lock.state === "motor_blocked") found.push(errorWords("motor_blocked"));
  return found;
}

/** A lock's name as people write it. @param {string} name @returns {string} */
export const pretty = (name) => name.replace(/[_-]+/g, " ").replace(/^./, (first) => first.toUpperCase());

/** Its name, with the bridge's where there are several. @param {import("./house.js").OwnLock} lock @param {import("./house.js").House} house */
export const nameOf = (lock, house) => (house.bridges.size > 1 ? `${pretty(lock.name)} (${lock.base})` : pretty(lock.name));

/** @param {string | null | undefined} moment RFC 3339 @returns {string} */
export const when = (moment) => (moment ? timeText(Date.parse(moment)) : "");

/** How long, in the one unit that people would say it in. @param {number} seconds */
export function span(seconds) {
  const [unit, size] = seconds < 3600 ? ["minute", 60] : seconds < 172800 ? ["hour", 3600] : ["day", 86400];
  return number(Math.floor(seconds / Number(size)), { style: "unit", unit: String(unit), unitDisplay: "long" });
}
