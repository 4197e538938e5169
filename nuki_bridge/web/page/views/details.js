/** What this phone knows of a door, and how it forgets it. */

import { accessText, language, t } from "../texts.js";
import { announce, ask, el, head } from "../ui.js";

/** @param {import("../app.js").Page} page @param {import("../app.js").Place} place @returns {import("../app.js").Shown} */
export function detailsView(page, place) {
  const door = /** @type {import("../door.js").Door} */ (page.doors.get(place.id ?? ""));
  const { credential, states } = door;
  const line = (/** @type {string} */ name, /** @type {(string | Node | null | false)[]} */ ...values) =>
    [el("dt", {}, name), ...values.filter(Boolean).map((value) => el("dd", {}, /** @type {string} */ (value)))];
  const percent = states?.level == null ? null : new Intl.NumberFormat(language, { style: "percent" }).format(states.level / 100);
  const forget = async () => {
    if (!(await ask({ title: t("forget.ask", { door: door.name }), text: t("forget.text"), yes: t("forget.yes"), dangerous: true }))) return;
    page.drop(door.id);
    const swept = await page.store.forget(door.id);
    await page.goHome();
    announce(t(swept ? "forget.done" : "forget.later", { door: door.name }));
  };
  const install = async () => {
    await page.install?.prompt();
    page.install = null;
    page.show(page.place);
  };
  return {
    node: el("div", { class: "view" }, head(t("details.title"), () => page.back()),
      el("h2", {}, door.name),
      el("dl", {},
        ...line(t("details.user"), credential.user || "–"),
        ...line(t("details.when"), ...accessText(credential.access), credential.access ? el("span", { class: "dim" }, t("access.note")) : null),
        ...line(t("details.where"), t(credential.remote ? "details.remote" : "details.near")),
        ...(states && (percent || states.critical) ? line(t("details.battery"), states.critical ? t("details.critical") : percent) : [])),
      page.install && el("button", { type: "button", class: "plain wide", onclick: install }, t("details.install")),
      page.doors.size === 1 && el("button", { type: "button", class: "plain wide", onclick: () => page.go({ view: "redeem" }) }, t("doors.add")),
      el("button", { type: "button", class: "danger wide", onclick: forget }, t("details.forget"))),
  };
}
