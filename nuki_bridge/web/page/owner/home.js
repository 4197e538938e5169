/** All locks that the owner's account sees. */

import { calm } from "../calm.js";
import { t } from "../texts.js";
import { announce, el, head, note, symbol } from "../ui.js";
import * as account from "./account.js";
import { button, errorWords, lead } from "./form.js";
import { batteryWords, doorWords, faults, linkWords, nameOf, ringWords, signalWords, stateSymbol, stateWords } from "./words.js";

/** @param {import("./main.js").Context} context @returns {Promise<import("../app.js").Shown>} */
export async function homeView({ page, house, go }) {
  await house.heard(() => house.locks.size > 0 || ([...house.bridges.values()].some((each) => each.info?.locks?.length === 0)));
  const list = el("ul", { class: "doors" });
  const words = el("div", { class: "words" });
  const top = el("div", { class: "part" });
  const bottom = el("ul", { class: "doors" });
  let drawn = "";
  const draw = () => {
    const locks = house.all();
    const now = JSON.stringify([locks.map((each) => ({ ...each, users: null })), [...house.bridges.values()], house.connection.status]);
    if (now === drawn) return;
    drawn = now;
    words.replaceChildren(...wordsOf(house));
    const invite = el("button", { type: "button", class: "primary wide", onclick: () => go("invite") }, symbol("add"), t("owner.invite"));
    if (!top.childElementCount && locks.length) top.append(invite);
    refill(list, locks.map((lock) => card(lock, house, () => go("lock", lock.key))));
    refill(bottom, [
      ...[...house.bridges.values()].flatMap((bridge) => [
        lead("add", t("owner.add"), house.bridges.size > 1 ? bridge.base : null, () => go("add", bridge.base)),
        lead("more", t("owner.bridge"), house.bridges.size > 1 ? bridge.base : null, () => go("bridge", bridge.base))]),
      page.doors.size > 0 && lead("closed", t("doors.title"), t("owner.as-guest"), () => page.go({ view: "doors" }))].filter((each) => each !== false));
  };
  const logout = async () => {
    const cleared = await account.logout(page.store);
    await page.goHome();
    if (!cleared) announce(t("owner.logout.later"));
  };
  const redraw = calm(draw);
  house.addEventListener("change", redraw);
  draw();
  return {
    node: el("div", { class: "view" }, head(t("owner.title"), null), top, words, list, bottom, button(t("owner.logout"), logout, "plain")),
    end: () => house.removeEventListener("change", redraw),
  };
}

/** New children in place of the old; who had the focus keeps it. @param {HTMLElement} list @param {HTMLElement[]} children */
function refill(list, children) {
  const at = [...list.children].findIndex((each) => each.contains(document.activeElement));
  list.replaceChildren(...children);
  if (at >= 0) /** @type {HTMLElement | null} */ (list.children[at]?.querySelector("button"))?.focus({ preventScroll: true });
}

/** @param {import("./house.js").OwnLock} lock @param {import("./house.js").House} house @param {() => void} onclick */
function card(lock, house, onclick) {
  const line = [batteryWords(lock), linkWords(lock, house), signalWords(lock.status?.rssi)].filter(Boolean).join(" · ");
  return el("li", {}, el("button", { type: "button", class: `card ${stateSymbol(lock)}`, onclick },
    symbol(stateSymbol(lock)),
    el("span", { class: "grow" }, el("strong", {}, nameOf(lock, house)),
      el("span", {}, [stateWords(lock), doorWords(lock)].filter(Boolean).join(" · ")),
      el("span", { class: "dim" }, line),
      lock.ring && el("span", { class: "ring-notice" }, symbol("bell"), ringWords(lock)),
      ...faults(lock, house).map((each) => el("span", { class: "fault" }, symbol("warning"), each)))));
}

/** What is to be said of all of them. @param {import("./house.js").House} house */
function wordsOf(house) {
  const { status, reason } = house.connection, found = [];
  if (status === "offline") found.push(note("warning", el("p", {}, errorWords(reason))));
  else if (!house.bridges.size) found.push(note("warning", el("p", {}, t("owner.nothing"))));
  else if (!house.locks.size) found.push(note("done", el("p", {}, t("owner.no-lock"))));
  for (const bridge of house.bridges.values()) if (bridge.state === "offline") found.push(note("failed", el("p", {}, errorWords("no_bridge"))));
  return found;
}
