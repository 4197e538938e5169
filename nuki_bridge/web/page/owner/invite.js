/** "Invite a person": who, when and until when; then the code, which is told this once and stays in this view. */

import { calmed } from "../calm.js";
import { t } from "../texts.js";
import { ask, el, head, note, say } from "../ui.js";
import { accessForm } from "./access.js";
import { button, choice, field, input, run, table, toggle, wordsPlace } from "./form.js";
import { nameOf, when } from "./words.js";

const EXPIRES = ["48h", "24h", "6h", "1h", "15m"];

/** @param {import("./main.js").Context} context @returns {import("../app.js").Shown} */
export function inviteView({ house, key, back }) {
  const locks = house.all();
  const which = choice(locks.map((each) => [each.key, nameOf(each, house)]), key || (locks[0]?.key ?? ""));
  const name = input({ autocapitalize: "words", maxLength: 32, required: true, autocomplete: "off" });
  const remote = toggle(t("owner.remote"), true, t("owner.remote.hint"));
  const access = accessForm(null);
  const expires = choice(EXPIRES.map((each) => [each, t(`owner.invite.expires.${each}`)]), "48h");
  const words = wordsPlace();
  const make = el("button", { type: "submit", class: "primary wide" }, t("owner.invite.make"));
  const view = el("div", { class: "view" });
  /** @type {(event: Event) => void} */
  let hear = () => {};
  /** Shows the code again, in another language. @type {(() => void) | null} */
  let again = null;

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const lock = house.locks.get(which.value);
    if (!lock) return;
    const asked = { name: name.value.trim(), remote: remote.box.checked, expires_in: expires.value, access: access.value(), qr: true };
    const made = await run(make, words, () => house.request(lock.key, "invite/create", asked));
    if (made) show(lock, made, asked);
  };

  /** @param {import("./house.js").OwnLock} lock @param {any} made @param {any} asked */
  const show = (lock, made, asked) => {
    again = () => show(lock, made, asked);
    house.removeEventListener("event", hear);
    const isLink = /^https?:/.test(made.link);
    const link = isLink ? made.link : `${location.origin}${location.pathname}#code=${made.code}`;
    const text = [t("owner.invite.message", { name: made.user, door: nameOf(lock, house), link, time: when(made.expires) }),
      !asked.remote && t("owner.invite.message.near"), t("owner.invite.message.end", { code: made.code })].filter(Boolean).join("\n");
    const state = el("div", { class: "words", role: "status" });
    const copy = button(t("owner.invite.copy"), async () => {
      await navigator.clipboard?.writeText(link).catch(() => {});
      copy.textContent = t("ios.copied");
      say(t("ios.copied"));
    }, "plain");
    const share = button(t("owner.invite.share"), () => navigator.share?.({ text }).catch(() => {}));
    const revoke = button(t("owner.invite.revoke"), async () => {
      if (!(await ask({ title: t("owner.invite.revoke.ask", { name: made.user }), yes: t("owner.invite.revoke"), dangerous: true }))) return;
      await run(revoke, state, () => house.request(lock.key, "invite/revoke", { id: made.id }),
        { done: (data) => t(data?.removed_on_lock === false ? "owner.invite.revoked.later" : "owner.invite.revoked") }) && over();
    }, "danger");
    const secrets = el("section", { class: "part center" },
      made.qr && isLink && el("img", { class: "qr", alt: t("owner.invite.qr"), src: `data:image/svg+xml,${encodeURIComponent(made.qr)}` }),
      el("p", { class: "code" }, made.code),
      el("p", { class: "link" }, link),
      !isLink && el("p", { class: "dim" }, t("owner.invite.no-url")),
      "share" in navigator && share, "clipboard" in navigator && copy);
    const over = () => {
      again = null;
      secrets.remove();
      revoke.remove();
    };
    hear = async (event) => {
      const { key: where, event: told } = /** @type {CustomEvent} */ (event).detail;
      if (where !== lock.key || told?.type !== "invitation" || told.invitation !== "redeemed" || told.user?.id !== made.id) return;
      await calmed();
      over();
      state.replaceChildren(note("done", el("p", {}, t("owner.invite.redeemed", { name: made.user }))));
      say(t("owner.invite.redeemed", { name: made.user }));
    };
    house.addEventListener("event", hear);
    view.replaceChildren(head(t("owner.invite.done", { name: made.user }), back), el("p", {}, t("owner.invite.give", { name: made.user, time: when(made.expires) })), secrets, state,
      table([t("owner.lock"), nameOf(lock, house)], [t("details.where"), t(asked.remote ? "details.remote" : "details.near")],
        [t("owner.invite.expires"), when(made.expires)]),
      el("p", { class: "dim" }, t("owner.invite.secret")), revoke, button(t("owner.done"), back, "plain"));
    view.querySelector("h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  };

  view.append(head(t("owner.invite"), back),
    locks.length ? el("form", { onsubmit: submit },
      locks.length > 1 ? field(t("owner.lock"), which) : null, field(t("owner.name"), name, t("owner.invite.name.hint")),
      remote.node, access.node, field(t("owner.invite.expires-in"), expires), words, make)
      : note("warning", el("p", {}, t("owner.no-lock"))));
  return {
    node: view,
    translate() {
      again?.();
      return again !== null;
    },
    end() {
      house.removeEventListener("event", hear);
      view.replaceChildren();
    },
  };
}
