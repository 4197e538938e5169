/** The people and devices that may use a lock, and its open invitations. */

import { calm } from "../calm.js";
import { accessText, has, t } from "../texts.js";
import { ask, el, head, symbol } from "../ui.js";
import { LIST_MS } from "./house.js";
import { button, lead, run, wordsPlace } from "./form.js";
import { when } from "./words.js";

/** @param {any} user @returns {string} */
export const kindWords = (user) => (has(`owner.kind.${user.type}`) ? t(`owner.kind.${user.type}`) : user.type);

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function usersView({ house, lock, key, go, back }) {
  const words = wordsPlace();
  const invitations = el("section", { class: "part" });
  const list = el("ul", { class: "doors" });
  let drawn = "";
  const draw = () => {
    const { users, invitations: open } = lock();
    const now = JSON.stringify([users, open]);
    if (now === drawn) return;
    drawn = now;
    invitations.replaceChildren(...(open?.length ? [el("h2", {}, t("owner.invitations")), ...open.map((each) => invitation(each))] : []));
    list.replaceChildren(...(users ?? []).filter((each) => !each.pending).map((each) =>
      lead(each.enabled ? (each.type === "keypad" ? "keypad" : "people") : "warning", each.self ? t("owner.self", { name: each.name }) : each.name, below(each),
        () => go("user", key, String(each.id)))));
  };
  const below = (/** @type {any} */ user) => [kindWords(user), user.enabled ? "" : t("owner.disabled"), ...(user.access ? accessText(user.access) : []),
    user.last_active ? t("owner.last-active", { time: when(user.last_active) }) : ""].filter(Boolean).join(" · ");
  /** @param {any} each */
  const invitation = (each) => {
    const revoke = el("button", { type: "button", class: "danger", onclick: () => undo() }, t("owner.invite.revoke"));
    const undo = async () => {
      if (!(await ask({ title: t("owner.invite.revoke.ask", { name: each.user }), yes: t("owner.invite.revoke"), dangerous: true }))) return;
      await run(revoke, words, () => house.request(key, "invite/revoke", { id: each.id }),
        { done: (data) => t(data?.removed_on_lock === false ? "owner.invite.revoked.later" : "owner.invite.revoked") });
    };
    return el("div", { class: "card open-invitation" }, symbol("clock"), el("div", { class: "grow" }, el("strong", {}, each.user),
      el("span", { class: "dim" }, t("owner.invite.open-until", { time: when(each.expires) })), el("span", { class: "dim" }, accessText(each.access).join(", "))), revoke);
  };
  const read = async () => {
    const found = await run(null, words, async () => {
      const users = await house.request(key, "users/list", {}, LIST_MS);
      return { users, open: await house.request(key, "invite/list", {}, LIST_MS).catch(() => null) };
    });
    if (!found) return;
    lock().users = found.users;
    lock().invitations = found.open ?? lock().invitations;
    draw();
  };
  const redraw = calm(draw);
  house.addEventListener("change", redraw);
  draw();
  read();
  return {
    node: el("div", { class: "view" }, head(t("owner.users"), back),
      el("button", { type: "button", class: "primary wide", onclick: () => go("invite", key) }, symbol("add"), t("owner.invite")),
      words, invitations, list, button(t("owner.key"), () => go("key", key), "plain")),
    end: () => house.removeEventListener("change", redraw),
  };
}
