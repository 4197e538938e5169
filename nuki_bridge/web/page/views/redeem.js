/** Where a code is typed. The code stays in this view; nothing of it is kept. */

import { readCode, shown } from "../invitation.js";
import { codeOf } from "../problem.js";
import { errorText, t } from "../texts.js";
import { el, head, say } from "../ui.js";

/** @param {import("../app.js").Page} page @param {import("../app.js").Place} place @returns {import("../app.js").Shown} */
export function redeemView(page, place) {
  const wrong = el("p", { id: "wrong", class: "wrong", role: "alert" });
  const input = el("input", {
    id: "code", type: "text", autocomplete: "off", autocapitalize: "characters", spellcheck: false, enterKeyHint: "go",
    placeholder: "XXXX-XXXX-XXXX-XXXX", "aria-describedby": "hint wrong",
  });
  const complain = (/** @type {string} */ code) => {
    wrong.textContent = code ? errorText(code) : "";
    input.setAttribute("aria-invalid", String(code !== ""));
  };
  input.addEventListener("input", () => {
    complain("");
    if (/^[0-9a-z]{16}$/i.test(input.value)) input.value = shown(input.value.toUpperCase());
  });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      page.go({ view: "invitation", code: readCode(input.value) });
    } catch (error) {
      complain(codeOf(error));
      input.focus();
    }
  };
  if (place.problem) {
    complain(place.problem);
    say(errorText(place.problem));
  }
  return {
    node: el("div", { class: "view" }, head(t("redeem.title"), page.doors.size ? () => page.back() : null),
      el("p", {}, t("redeem.intro")),
      el("form", { onsubmit: submit },
        el("label", { htmlFor: "code" }, t("redeem.code")), input, el("p", { id: "hint", class: "dim" }, t("redeem.hint")), wrong,
        el("button", { type: "submit", class: "primary wide" }, t("redeem.enter"))),
      el("button", { type: "button", class: "plain wide", onclick: () => page.go({ view: "owner" }) }, t("app.owner")),
      el("button", { type: "button", class: "plain wide", onclick: () => page.go({ view: "pair" }) }, t("app.pair"))),
  };
}
