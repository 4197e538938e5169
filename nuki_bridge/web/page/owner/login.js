/** Where an owner logs in with the broker's account. */

import { codeOf } from "../problem.js";
import { t } from "../texts.js";
import { el, head, say } from "../ui.js";
import * as account from "./account.js";
import { errorWords, field, input, toggle } from "./form.js";

/** @param {import("../app.js").Page} page @param {string} problem code that is shown at first @returns {Promise<import("../app.js").Shown>} */
export async function loginView(page, problem) {
  const wrong = el("p", { class: "wrong", role: "alert" }, problem && errorWords(problem));
  const username = input({ autocomplete: "username", autocapitalize: "none", value: (await account.kept(page.store))?.username ?? "owner", required: true });
  const password = input({ type: "password", autocomplete: "current-password", required: true });
  const keeps = toggle(t("owner.login.keep"), false, t("owner.login.keep.hint"));
  const enter = el("button", { type: "submit", class: "primary wide" }, t("owner.login.enter"));
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (enter.getAttribute("aria-disabled") === "true") return;
    enter.setAttribute("aria-disabled", "true");
    wrong.textContent = "";
    say(t("status.connecting"));
    try {
      await account.login(page.store, { username: username.value.trim(), password: password.value }, keeps.box.checked);
      password.value = "";
      await page.show(page.place);
    } catch (error) {
      const code = codeOf(error);
      wrong.textContent = errorWords(["bad_password", "not_allowed"].includes(code) ? "bad_login" : code);
      password.focus();
    } finally {
      enter.setAttribute("aria-disabled", "false");
    }
  };
  return {
    node: el("div", { class: "view" }, head(t("owner.login.title"), () => page.back()),
      el("p", {}, t("owner.login.intro")),
      el("form", { onsubmit: submit }, field(t("owner.login.username"), username), field(t("owner.login.password"), password), keeps.node, wrong, enter)),
  };
}
