/** Below a door: the way to its lock by Bluetooth, or what works where the browser has none. */

import { Near, obstacle } from "../bluetooth.js";
import { calm } from "../calm.js";
import { codeOf } from "../problem.js";
import { errorText, t } from "../texts.js";
import "../texts_bluetooth.js";
import { el, note, say } from "../ui.js";

/** Reasons for which the bridge is of no use now. */
const AWAY = new Set(["no_bridge", "timeout", "timeout_here", "not_found", "broker_unavailable", "stopped"]);

/** Why there is no Bluetooth, and what works instead. @param {string} why @param {"bridge" | "none" | "pair"} instead */
export const noBluetooth = (why, instead) =>
  note("warning", el("strong", {}, t("near.none")), el("p", {}, t(`near.${why}`)), el("p", {}, t(`near.instead.${instead}`)));

/**
 * Fill `place`, and again whenever the answer is called.
 * @param {import("../app.js").Page} page @param {import("../door.js").Door} door @param {HTMLElement} place
 * @returns {() => void}
 */
export function nearPanel(page, door, place) {
  const why = obstacle();
  let drawn = "", wrong = "", isBusy = false;

  const choose = async () => {
    if (isBusy || door.busy) return;
    isBusy = true;
    wrong = "";
    try {
      const near = await Near.choose(door.credential.lock.nuki_id);
      draw(say(t("near.busy")));
      door.use(near);
      await door.refresh();
    } catch (error) {
      wrong = codeOf(error);
      say(errorText(wrong));
    }
    isBusy = false;
    draw();
  };
  const bridge = () => {
    if (door.busy) return;
    door.use(null);
    door.refresh();
  };
  const button = (/** @type {string} */ words, /** @type {() => void} */ onclick, kind = "plain") =>
    el("button", { type: "button", class: `${kind} wide`, onclick }, t(words));

  const draw = (/** @type {unknown} */ _ = null) => {
    const isNeeded = !door.credential.remote || page.connection.status === "offline" || AWAY.has(door.problem ?? "");
    const now = [why, isNeeded, door.near !== null, wrong, document.documentElement.lang].join();
    if (now === drawn) return; // a button that is touched stays
    drawn = now;
    // Below the buttons, which stay where a finger may lie on them, unless they are of no use yet.
    place.className = door.credential.remote || door.near ? "near later" : "near";
    if (why) {
      place.replaceChildren(...(isNeeded ? [noBluetooth(why, door.credential.remote ? "bridge" : "none")] : []));
      return;
    }
    place.replaceChildren(...(door.near
      ? [el("p", { class: "dim" }, t("near.used")), button("near.again", () => door.busy || door.refresh()), ...(door.credential.remote ? [button("near.bridge", bridge)] : [])]
      : [...(isNeeded ? [el("p", { class: "dim" }, t("near.choose.hint"))] : []), button("near.choose", choose, isNeeded ? "primary" : "plain")]),
      ...(wrong ? [note("failed", el("p", {}, errorText(wrong)))] : []));
  };
  draw();
  return calm(draw);
}
