/**
 * Keeps one `Mqtt` open while the page is visible, and connects again with pauses that grow.
 *
 * A frozen page loses its socket without being told: when it becomes visible the old one is tried with a ping.
 */

import { Mqtt } from "./mqtt.js";
import { Problem, codeOf } from "./problem.js";

/** Pauses before connecting again, in ms; the last one goes on. */
const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15000];
/** A socket that does not answer a ping so long after the page has become visible is given up, in ms. */
const PING_MS = 2500;
/** A page that is hidden for longer closes its connection, in ms. */
const HIDDEN_MS = 60000;

/** What tells that somebody looks at the page again, or that the network is back. @returns {[EventTarget, string][]} */
const SEEN = () => [[document, "visibilitychange"], [document, "resume"], [window, "pageshow"], [window, "focus"], [window, "online"]];

/** @typedef {"connecting" | "online" | "offline"} Status */

/** Where the broker is: the same host as the page. */
export const brokerUrl = () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/mqtt`;

export class Connection extends EventTarget {
  /** @type {Mqtt | null} */
  #mqtt = null;
  /** @type {Promise<Mqtt> | null} */
  #opening = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hiding;
  #failed = 0;
  #wanted = false;
  /** @type {Status} */
  status = "offline";
  /** Why there is no connection. @type {string} */
  reason = "offline";

  /** @param {{username?: string, password?: string}} [account] none for a guest: the server adds the guests' one */
  constructor(account) {
    super();
    this.account = account;
  }

  /** Begin, and go on until `stop`. Tells of each change by the event `status`. */
  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    for (const [target, name] of SEEN()) target.addEventListener(name, this.#seen);
    this.#try();
  }

  stop() {
    this.#wanted = false;
    for (const [target, name] of SEEN()) target.removeEventListener(name, this.#seen);
    clearTimeout(this.#timer);
    this.#mqtt?.close();
  }

  /** Connect now if there is no connection; throws `Problem`. @returns {Promise<Mqtt>} */
  async now() {
    if (this.#mqtt && !this.#mqtt.closed) return this.#mqtt;
    clearTimeout(this.#timer);
    this.#opening ??= this.#open().finally(() => (this.#opening = null));
    return await this.#opening;
  }

  async #open() {
    const mqtt = new Mqtt();
    if (this.status !== "connecting") this.#tell("connecting");
    try {
      await mqtt.open(brokerUrl(), this.account);
    } catch (error) {
      this.#lost(/** @type {Problem} */ (error));
      throw error;
    }
    this.#failed = 0;
    this.#mqtt = mqtt;
    mqtt.onclose = (problem) => this.#lost(problem);
    this.#tell("online");
    return mqtt;
  }

  #try() {
    if (this.#wanted) this.now().catch(() => {});
  }

  /** @param {Problem} problem */
  #lost(problem) {
    this.#mqtt = null;
    this.reason = codeOf(problem);
    this.#tell("offline");
    clearTimeout(this.#timer);
    if (!this.#wanted || document.hidden || ["bad_password", "no_account"].includes(this.reason)) return;
    const wait = PAUSES_MS[Math.min(this.#failed++, PAUSES_MS.length - 1)];
    this.#timer = setTimeout(() => this.#try(), wait * (0.75 + Math.random() / 2));
  }

  #seen = () => {
    clearTimeout(this.#hiding);
    if (document.hidden) {
      this.#hiding = setTimeout(() => this.#mqtt?.close(), HIDDEN_MS);
      return;
    }
    this.#failed = 0;
    if (this.#mqtt) this.#mqtt.ping(PING_MS).then(() => this.#tell("online"), () => this.#try());
    else this.#try();
  };

  /** @param {Status} status */
  #tell(status) {
    this.status = status;
    this.dispatchEvent(new Event("status"));
  }
}

/** The topic below which the bridge listens, as the server has it. @returns {Promise<string>} */
export async function baseTopic() {
  const found = await fetch("settings.json").then((answer) => answer.json()).catch(() => ({}));
  return typeof found.base_topic === "string" ? found.base_topic : "nuki";
}
