/**
 * The page: builds its parts, shows one view after the other, and hears of links that are opened.
 *
 * A view is a function that gets the page and returns what to show, and how to end it. The owner's views are loaded only
 * when they are wanted.
 */

import { Connection } from "./connection.js";
import { Door } from "./door.js";
import { readCode } from "./invitation.js";
import { Store } from "./store.js";
import { language, speak, t } from "./texts.js";
import { el, head, note, say } from "./ui.js";
import { detailsView } from "./views/details.js";
import { doorView } from "./views/door.js";
import { doorsView } from "./views/doors.js";
import { invitationView } from "./views/invitation.js";
import { redeemView } from "./views/redeem.js";

/**
 * @typedef {object} Shown what a view returns
 * @property {HTMLElement} node @property {() => void} [end]
 * @property {() => boolean} [translate] show in another language what was told once and would be lost; false if nothing was
 */
/** @typedef {{view: string, id?: string, path?: string[], code?: string, problem?: string}} Place where the page is; only view, ID and path get into the history */

export class Page {
  store = new Store();
  connection = new Connection();
  /** @type {Map<string, Door>} */
  doors = new Map();
  /** @type {Shown | null} */
  #shown = null;
  /** @type {Place} */
  place = { view: "doors" };
  /** What the browser offers for the home screen. @type {any} */
  install = null;

  /** Views by name. @type {Record<string, (page: Page, place: Place) => Shown | Promise<Shown>>} */
  views = {
    doors: doorsView, door: doorView, details: detailsView, redeem: redeemView, invitation: invitationView,
    pair: async (page) => {
      const part = await import("./views/pair.js").catch(() => null);
      return part ? part.pairView(page) : missingView();
    },
    owner: async (page, place) => {
      const part = await import("./owner/main.js").catch(() => null);
      return part ? part.ownerView(page, place) : missingView();
    },
  };

  async start() {
    addEventListener("hashchange", () => this.arrive(takeFragment()));
    addEventListener("popstate", (event) => this.show(event.state ?? this.home()));
    addEventListener("beforeinstallprompt", (event) => {
      event.preventDefault();
      this.install = event;
    });
    this.store.onforgotten = (id) => {
      if (this.drop(id) && (this.place.id === id || this.place.view === "doors")) this.goHome();
    };
    document.documentElement.lang = language;
    document.title = t("app.title");
    try {
      await this.store.account().catch(() => null); // before the sweep: an earlier version had it where that clears
      await this.store.sweep();
      for (const record of await this.store.doors()) this.add(record);
    } catch {
      // Said when there is something to keep.
    }
    if (!(await this.arrive(/** @type {any} */ (globalThis).arrived ?? ""))) await this.show(this.home());
    this.connection.start();
    navigator.serviceWorker?.register("sw.js").catch(() => {});
  }

  /** The first view: the only door, or the list of them, or where a code is entered. @returns {Place} */
  home() {
    if (this.store.isOwners) return { view: "owner" };
    if (this.doors.size === 0) return { view: "redeem" };
    return this.doors.size === 1 ? { view: "door", id: [...this.doors.keys()][0] } : { view: "doors" };
  }

  /** @param {import("./store.js").DoorRecord} record */
  add(record) {
    this.doors.get(record.id)?.close();
    this.doors.set(record.id, new Door(record, this.connection, this.store));
  }

  /** A door is forgotten. @param {string} id @returns {boolean} it was there */
  drop(id) {
    this.doors.get(id)?.close();
    return this.doors.delete(id);
  }

  /** Take what stood behind the # of a link. @param {string} fragment @returns {Promise<boolean>} it was an invitation */
  async arrive(fragment) {
    if (!/[#&]code=/.test(fragment)) return false;
    try {
      await this.show({ view: "invitation", code: readCode(`link:${decodeURIComponent(fragment)}`.replace(/\s/g, "")) });
    } catch {
      await this.show({ view: "redeem", problem: "mistyped" });
    }
    return true;
  }

  /** Go to a view, which "back" leaves again. @param {Place} place */
  go(place) {
    history.pushState({ view: place.view, id: place.id, path: place.path }, "");
    return this.show(place);
  }

  /** Go to the first view; nothing lies behind it. */
  goHome() {
    const place = this.home();
    history.replaceState(place, "");
    return this.show(place);
  }

  /** Go where "back" of the browser would, or to the first view. */
  back() {
    if (history.state) history.back();
    else this.goHome();
  }

  /** @param {Place} place */
  async show(place) {
    if ((place.id && !this.doors.has(place.id)) || !this.views[place.view]) place = this.home();
    if (place.view === "invitation" && !place.code) place = this.home();
    this.#shown?.end?.();
    this.#shown = null;
    this.place = place;
    const shown = await this.views[place.view](this, place);
    if (this.place !== place) {
      shown.end?.();
      return;
    }
    this.#shown = shown;
    document.getElementById("view")?.replaceChildren(shown.node, this.#foot());
    say("");
    scrollTo(0, 0);
    /** @type {HTMLElement | null} */ (shown.node.querySelector("h1"))?.focus({ preventScroll: true });
  }

  #foot() {
    const other = language === "de" ? "en" : "de";
    const change = () => {
      speak(other);
      document.documentElement.lang = other;
      document.title = t("app.title");
      if (this.#shown?.translate?.()) document.querySelector("#view > footer")?.replaceWith(this.#foot());
      else this.show(this.place);
    };
    return el("footer", {}, el("button", { type: "button", class: "plain", lang: other, onclick: change }, t("app.language")));
  }
}

/** In place of the owner's part, which could not be loaded. @returns {Shown} */
const missingView = () => ({
  node: el("div", { class: "view" }, head(t("app.owner"), null), note("failed", el("p", {}, t("error.offline"))),
    el("button", { type: "button", class: "primary wide", onclick: () => location.reload() }, t("app.retry"))),
});

/** The fragment of the address, which is removed from it. */
function takeFragment() {
  const fragment = location.hash;
  history.replaceState(history.state, "", location.pathname + location.search);
  return fragment;
}

const page = new Page();
page.start().catch((error) => {
  document.getElementById("view")?.replaceChildren(note("failed", el("p", {}, t("error.failed")), el("p", {}, String(error))));
});
