/** "Add a device": what to press, which lock is heard, its PIN if it wants one, and how it goes. */

import { calmed } from "../calm.js";
import { codeOf } from "../problem.js";
import { t } from "../texts.js";
import { el, head, note, say } from "../ui.js";
import { button, choice, field, input, problemNote, run, secret, wordsPlace } from "./form.js";
import { pretty, signalWords } from "./words.js";

/** How long the bridge listens, and how long it waits for the button, in s. */
const SCAN_S = 8;
const PAIR_S = 60;

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function addView({ house, key: base, go, back }) {
  const words = wordsPlace(), body = el("div", { class: "part" });
  const search = button(t("owner.add.search"), async () => {
    const heard = await run(search, words, () => house.request(`${base}/bridge`, "scan", { timeout: SCAN_S }, (SCAN_S + 20) * 1000), { busy: t("owner.add.searching") });
    if (heard) list(heard);
  });

  /** @param {any[]} heard */
  const list = (heard) => {
    const found = heard.sort((a, b) => Number(b.pairing_mode) - Number(a.pairing_mode) || (b.rssi ?? -200) - (a.rssi ?? -200));
    search.textContent = t("owner.add.again");
    search.className = "plain wide";
    if (!found.length) return words.replaceChildren(note("warning", el("p", {}, t("owner.add.none"))));
    say(t("owner.add.found", { count: String(found.length) }));
    body.replaceChildren(el("ul", { class: "doors" }, ...found.map((each) => el("li", {}, el("button", {
      type: "button", class: "card", "aria-disabled": String(each.paired !== null), onclick: () => each.paired === null && form(each),
    }, el("span", { class: "grow" }, el("strong", {}, each.name ?? each.address),
      el("span", {}, each.paired !== null ? t("owner.add.known", { name: pretty(each.paired) }) : t(each.pairing_mode ? "owner.add.ready" : "owner.add.not-ready")),
      el("span", { class: "dim" }, signalWords(each.rssi))))))));
    return undefined;
  };

  /** @param {any} heard */
  const form = (heard) => {
    const name = input({ required: true, maxLength: 32, autocapitalize: "none", value: "front_door", pattern: "[a-z0-9_\\-]{1,32}" });
    name.addEventListener("input", () => (name.value = slug(name.value)));
    const pin = secret({ pattern: "[0-9]{4}|[0-9]{6}", title: t("owner.add.pin.hint") });
    const as = choice([["bridge", t("owner.add.as.bridge")], ["app", t("owner.add.as.app")]], "bridge");
    const told = wordsPlace();
    const pair = el("button", { type: "submit", class: "primary wide" }, t("owner.add.pair"));
    const submit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      if (pair.getAttribute("aria-disabled") === "true") return;
      pair.setAttribute("aria-disabled", "true");
      const bar = el("progress", { max: PAIR_S, value: 0, "aria-label": t("owner.add.pairing") });
      told.replaceChildren(el("p", { class: "doing" }, t("owner.add.pairing")), bar);
      say(t("owner.add.pairing"));
      const ticking = setInterval(() => bar.value++, 1000);
      /** @type {any} */
      const asked = { address: heard.address, name: name.value, as: as.value, timeout: PAIR_S };
      if (pin.value) asked.pin = pin.value;
      try {
        const made = await house.request(`${base}/bridge`, "pair", asked, (PAIR_S + 30) * 1000).finally(calmed);
        done(made);
      } catch (error) {
        const wantsPin = codeOf(error) === "pin_required";
        told.replaceChildren(wantsPin ? note("warning", el("p", {}, t("owner.add.wants-pin"))) : problemNote(error));
        say(told.textContent ?? "");
        if (wantsPin) pin.focus();
      } finally {
        pin.value = "";
        clearInterval(ticking);
        pair.setAttribute("aria-disabled", "false");
      }
    };
    words.replaceChildren();
    search.remove();
    steps.remove();
    body.replaceChildren(el("form", { onsubmit: submit }, el("h2", {}, heard.name ?? heard.address), el("p", {}, t("owner.add.press")),
      field(t("owner.add.name"), name, t("owner.add.name.hint")), field(t("owner.pin"), pin, t("owner.add.pin.hint")), field(t("owner.add.as"), as), told, pair));
    body.scrollIntoView({ block: "start" });
  };

  /** @param {any} made */
  const done = (made) => {
    const line = t("owner.add.done", { door: pretty(made.name) });
    body.replaceChildren(note("done", el("p", {}, line)),
      button(t("owner.add.open"), async () => {
        await house.heard(() => house.locks.has(`${base}/${made.name}`));
        go("lock", `${base}/${made.name}`);
      }));
    say(line);
  };
  const steps = el("ol", { class: "steps" }, ...[1, 2, 3].map((each) => el("li", {}, t(`owner.add.step.${each}`))));
  return {
    node: el("div", { class: "view" }, head(t("owner.add"), back), steps, words, body, search),
    end: () => body.replaceChildren(),
  };
}

/** A name as topics may have it. @param {string} typed */
const slug = (typed) => typed.toLowerCase().replace(/ä/g, "ae").replace(/ö/g, "oe").replace(/ü/g, "ue").replace(/ß/g, "ss").replace(/[^a-z0-9_-]+/g, "_").slice(0, 32);
