/** An invitation whose code is at hand: it is redeemed when the guest says so. */

import { baseTopic } from "../connection.js";
import { lookup, shown } from "../invitation.js";
import { codeOf } from "../problem.js";
import { redeem } from "../redeem.js";
import { errorText, t } from "../texts.js";
import { announce, el, head, note, say } from "../ui.js";

/** Answers after which this code is of no use any more. */
const OVER = new Set(["expired", "redeemed", "revoked", "unknown"]);

/** So long an answer may take before it is said that none comes, in ms. */
const SLOW_MS = 3000;

/** Whether this is Safari of an iPhone or iPad, not yet on the home screen, where a storage of its own would be. */
function beforeHomeScreen() {
  const isApple = /iPhone|iPad|iPod/.test(navigator.userAgent) || (/Mac/.test(navigator.platform) && navigator.maxTouchPoints > 1);
  return isApple && !(/** @type {any} */ (navigator).standalone || matchMedia("(display-mode: standalone)").matches);
}

/** @param {import("../app.js").Page} page @param {import("../app.js").Place} place @returns {import("../app.js").Shown} */
export function invitationView(page, place) {
  const code = place.code ?? "";
  const words = el("div", { role: "alert" });
  const accept = el("button", { type: "button", class: "primary wide" }, t("invitation.accept"));
  const other = el("button", { type: "button", class: "plain wide", hidden: true, onclick: () => page.show({ view: "redeem" }) }, t("invitation.other"));

  accept.onclick = async () => {
    if (accept.getAttribute("aria-disabled") === "true") return;
    accept.setAttribute("aria-disabled", "true");
    accept.textContent = t("invitation.busy");
    say(t("invitation.busy"));
    words.replaceChildren();
    other.hidden = true;
    const slow = setTimeout(() => words.replaceChildren(note("warning", el("p", {}, t("invitation.slow")))), SLOW_MS);
    try {
      const credential = await redeem(page.connection, code, await baseTopic(), page.store);
      page.add(await page.store.add(credential));
      await page.store.endNote(lookup(code));
    } catch (error) {
      const why = codeOf(error);
      words.replaceChildren(note("failed", el("p", {}, errorText(why))));
      accept.textContent = t("app.retry");
      accept.setAttribute("aria-disabled", "false");
      accept.hidden = OVER.has(why);
      other.hidden = !OVER.has(why);
      return;
    } finally {
      clearTimeout(slow);
    }
    await arrived(page);
  };

  const copied = el("button", { type: "button", class: "plain wide" }, t("ios.copy"));
  copied.onclick = async () => {
    await navigator.clipboard?.writeText(shown(code));
    copied.textContent = t("ios.copied");
  };
  const first = beforeHomeScreen() && el("section", { class: "card first" }, el("h2", {}, t("ios.title")), el("p", {}, t("ios.text")),
    el("p", { class: "code" }, shown(code)), "clipboard" in navigator && copied);
  if (first) accept.textContent = t("ios.anyway");
  if (first) accept.className = "plain wide";
  return {
    node: el("div", { class: "view" }, head(t("invitation.title"), page.doors.size ? () => page.goHome() : null),
      el("p", {}, t("invitation.intro", { host: location.hostname })), first, words, accept, other),
  };
}

/** Show the door that was got, and say so. @param {import("../app.js").Page} page */
async function arrived(page) {
  const door = [...page.doors.values()].at(-1);
  if (!door) return;
  history.replaceState(null, "");
  if (page.doors.size > 1) await page.go({ view: "door", id: door.id });
  else await page.goHome();
  announce(t("invitation.got", { door: door.name }));
}
