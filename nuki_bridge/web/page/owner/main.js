/** The owner's part: loaded only when an owner wants it. It shows the view that a place's path names, or asks for the account. */

import { calm } from "../calm.js";
import { t } from "../texts.js";
import { el, head, note } from "../ui.js";
import * as account from "./account.js";
import { addView } from "./add.js";
import { batteryView } from "./battery.js";
import { bridgeView } from "./bridge.js";
import { homeView } from "./home.js";
import { inviteView } from "./invite.js";
import { keyView } from "./key.js";
import { keypadView } from "./keypad.js";
import { lockView } from "./lock.js";
import { logView } from "./log.js";
import { loginView } from "./login.js";
import { maintenanceView } from "./maintenance.js";
import { pinView } from "./pin.js";
import { settingsView } from "./settings.js";
import "./symbols.js";
import { addTexts } from "./texts.js";
import { timeControlView } from "./timecontrol.js";
import { userView } from "./user.js";
import { usersView } from "./users.js";

/**
 * @typedef {object} Context what a view of the owner gets
 * @property {import("../app.js").Page} page
 * @property {import("./house.js").House} house
 * @property {(...path: string[]) => void} go to another view of the owner
 * @property {() => void} back
 * @property {string[]} path after the view's name
 * @property {string} key of the lock, or the base topic of the bridge
 * @property {() => import("./house.js").OwnLock} lock of this view, as it is now
 */
/** @typedef {(context: Context) => import("../app.js").Shown | Promise<import("../app.js").Shown>} OwnerView */

/** Views about one lock; the path's second part is its key. @type {Record<string, OwnerView>} */
const OF_LOCK = {
  lock: lockView, users: usersView, user: userView, key: keyView, log: logView, battery: batteryView, settings: settingsView, keypad: keypadView,
  timecontrol: timeControlView, pin: pinView, maintenance: maintenanceView,
};
/** Views about a bridge, or about none. @type {Record<string, OwnerView>} */
const OTHERS = { home: homeView, invite: inviteView, add: addView, bridge: bridgeView };

addTexts();
/** @type {Promise<unknown> | null} */
let styled = null;

/** The owner's style sheet, before anything is shown that needs it. */
function style() {
  styled ??= new Promise((resolve) => {
    const link = el("link", { rel: "stylesheet", href: "owner/owner.css" });
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
  return styled;
}

/** @param {import("../app.js").Page} page @param {import("../app.js").Place} place @returns {Promise<import("../app.js").Shown>} */
export async function ownerView(page, place) {
  await style();
  page.store.onlogout = () => {
    account.drop();
    if (page.place.view === "owner") page.goHome();
  };
  const house = await account.open(page.store);
  if (!house || house.refused) {
    if (house?.refused) account.drop();
    return owned(await loginView(page, house?.refused ? "bad_login" : ""));
  }
  const [name = "home", key = ""] = place.path ?? [];
  if (key && !house.locks.has(key) && name in OF_LOCK) await house.heard(() => house.locks.has(key));
  const view = OTHERS[name] ?? OF_LOCK[name] ?? homeView;
  if (name in OF_LOCK && !house.locks.has(key)) return owned(goneView(page));
  const shown = await view({
    page, house, key,
    path: (place.path ?? []).slice(1),
    go: (...path) => page.go({ view: "owner", path }),
    back: () => page.back(),
    lock: () => house.locks.get(key) ?? /** @type {import("./house.js").OwnLock} */ (gone),
  });
  const refused = calm(() => house.refused && page.place === place && page.show(place));
  house.addEventListener("change", refused);
  return owned({
    node: shown.node,
    translate: () => shown.translate?.() ?? false,
    end() {
      house.removeEventListener("change", refused);
      shown.end?.();
    },
  });
}

/** What a lock that has gone meanwhile looks like. */
const gone = { key: "", base: "", name: "", status: null, state: null, continuous_mode: null, availability: null, users: null, invitations: null, battery: null, doing: null };

/** @param {import("../app.js").Shown} shown */
function owned(shown) {
  shown.node.classList.add("owner");
  return shown;
}

/** @param {import("../app.js").Page} page @returns {import("../app.js").Shown} */
const goneView = (page) => ({
  node: el("div", { class: "view" }, head(t("owner.title"), () => page.show({ view: "owner" })), note("warning", el("p", {}, t("owner.gone")))),
});
