/**
 * What an owner's account sees and may do: the bridges and locks below the broker, requests to them, and lock actions.
 * Nothing is ever repeated here. Views show it and listen to its event `change`.
 */

import { hex, text } from "../bytes.js";
import { Connection } from "../connection.js";
import { random } from "../crypto.js";
import { Patience } from "../patience.js";
import { Problem, codeOf, within } from "../problem.js";

/** A request may wait for the bridge no longer than this, in s; it is gone then. */
const EXPIRY_S = 15;
/** How long an answer is waited for, in ms. */
const ANSWER_MS = 25000;
/** Lists are read a page at a time and may take so long, in ms. */
export const LIST_MS = 310000;
/** The end of an action is waited for so long, in ms; lock 'n' go pauses up to 60 s. */
const ACTION_MS = 60000;
const PAUSE_MS = 130000;

/** So long it is news that the doorbell rang, in ms. */
const RING_MS = 60000;

/** How long the bridge's first word is waited for, in ms: it is retained at the broker. */
const FIRST_WORD_MS = 3000;

/**
 * @typedef {object} OwnLock a lock as the bridge tells of it
 * @property {string} key base topic and name, which is what places are named by
 * @property {string} base
 * @property {string} name
 * @property {any} status
 * @property {string | null} state
 * @property {string | null} continuous_mode `on` or `off` of an Opener
 * @property {string | null} availability
 * @property {any[] | null} users
 * @property {any[] | null} invitations
 * @property {any} battery
 * @property {Doing | null} doing
 * @property {{at: number, opened: string | null}} [ring] the doorbell rang just now, and what opened the door to whoever rang
 * @property {unknown} [heard] the connection over which the bridge told of it last
 */
/** @typedef {{action: string, step: "asking" | "done" | "failed" | "unknown", code?: string, said?: string}} Doing */
/** @typedef {{base: string, state: string, info: any}} Bridge */
/** @typedef {{username: string, password: string}} Account */

/** What a lock publishes, retained. */
const KEPT = ["status", "state", "continuous_mode", "availability", "users", "invitations", "battery"];

/** A refusal of the bridge: a code, and a sentence of its own in English. */
export class Refusal extends Problem {
  /** @param {string} code @param {string} said */
  constructor(code, said) {
    super(code, said);
    this.said = said;
  }
}

export class House extends EventTarget {
  /** @type {Map<string, OwnLock>} */
  locks = new Map();
  /** @type {Map<string, Bridge>} */
  bridges = new Map();
  /** @type {import("../mqtt.js").Mqtt | null} */
  #mqtt = null;
  /** The bridges that are listened to over this connection. @type {Map<string, Promise<void>>} */
  #bases = new Map();
  /** @type {Map<string, (answer: any) => void>} */
  #results = new Map();
  #telling = false;
  #inbox = hex(random(16));
  /** The broker does not take the account (any more). */
  refused = false;

  /** @param {Account} account @param {string} base the topic below which the server's bridge is */
  constructor(account, base) {
    super();
    this.account = account;
    this.base = base;
    this.connection = new Connection(account);
    this.connection.addEventListener("status", () => this.#changed());
  }

  /** Log in; throws `Problem`. */
  async open() {
    await this.connection.now();
    this.connection.start();
  }

  close() {
    this.connection.stop();
  }

  async #changed() {
    const { status, reason } = this.connection;
    if (status === "offline" && (reason === "bad_password" || reason === "not_allowed")) {
      this.refused = true;
      this.connection.stop();
    }
    this.#tell();
    if (status === "online") await this.#connected(this.base).catch(() => {});
  }

  /** A connection over which what a bridge says is heard; throws `Problem`. @param {string} base */
  async #connected(base) {
    const mqtt = await this.connection.now();
    if (mqtt !== this.#mqtt) {
      this.#mqtt = mqtt;
      this.#bases.clear();
      for (const filter of ["+/bridge/info", "+/+/bridge/info"]) mqtt.subscribe(filter, this.#take).catch(() => {}); // other bridges, if it may
      setTimeout(() => this.#forget(mqtt), FIRST_WORD_MS);
    }
    await this.#listen(base);
    return mqtt;
  }

  /** Hear what a bridge and its locks say, as far as the account may. @param {string} base @returns {Promise<void>} */
  #listen(base) {
    let listening = this.#bases.get(base);
    if (!listening) {
      listening = this.#mqtt?.subscribe(`${base}/+/+`, this.#take).catch(() => {}) ?? Promise.resolve();
      this.#bases.set(base, listening);
    }
    return listening;
  }

  /** What was given up while nobody listened is retained no more. @param {import("../mqtt.js").Mqtt} mqtt */
  #forget(mqtt) {
    if (mqtt !== this.#mqtt || mqtt.closed) return;
    for (const [key, lock] of this.locks) if (lock.heard !== mqtt) this.locks.delete(key);
    this.#tell();
  }

  /** @param {import("../mqtt.js").MqttMessage} message */
  #take = ({ topic, payload }) => {
    const levels = topic.split("/"), what = /** @type {string} */ (levels.pop()), name = /** @type {string} */ (levels.pop()), base = levels.join("/");
    const words = text(payload);
    if (name === "bridge") this.#takeBridge(base, what, words);
    else if (what === "result") this.#result(words);
    else if (what === "event") this.#event(`${base}/${name}`, parse(words));
    else if (KEPT.includes(what) && !/^[0-9A-Fa-f]{8}$/.test(name)) this.#takeLock(base, name, what, words);
  };

  /** @param {string} key @param {any} event */
  #event(key, event) {
    this.dispatchEvent(new CustomEvent("event", { detail: { key, event } }));
    const lock = this.locks.get(key);
    if (event?.type !== "ring" || !lock) return;
    const ring = { at: Date.parse(event.time) || Date.now(), opened: event.opened ?? null };
    lock.ring = ring;
    setTimeout(() => {
      if (lock.ring === ring) delete lock.ring;
      this.#tell();
    }, RING_MS);
    this.#tell();
  }

  /** @param {string} base @param {string} what @param {string} words */
  #takeBridge(base, what, words) {
    if (what !== "info" && what !== "state") return;
    const bridge = this.bridges.get(base) ?? { base, state: "offline", info: null };
    if (what === "state") bridge.state = words || "offline";
    else bridge.info = parse(words);
    if (bridge.info || words) this.bridges.set(base, bridge);
    if (!bridge.info && !words) this.bridges.delete(base);
    this.#listen(base);
    this.#tell();
  }

  /** @param {string} base @param {string} name @param {string} what @param {string} words */
  #takeLock(base, name, what, words) {
    const key = `${base}/${name}`;
    /** @type {OwnLock} */
    const lock = this.locks.get(key)
      ?? { key, base, name, status: null, state: null, continuous_mode: null, availability: null, users: null, invitations: null, battery: null, doing: null };
    const value = words === "" ? null : ["state", "continuous_mode", "availability"].includes(what) ? words : parse(words);
    /** @type {any} */ (lock)[what] = value;
    lock.heard = this.#mqtt;
    if (lock.status || lock.availability) this.locks.set(key, lock);
    else this.locks.delete(key);
    this.#tell();
  }

  /** Wait until something is known, a moment at most. @param {() => boolean} what @returns {Promise<void>} */
  heard(what) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.removeEventListener("change", look);
        resolve();
      };
      const look = () => what() && done();
      const timer = setTimeout(done, FIRST_WORD_MS);
      this.addEventListener("change", look);
      look();
    });
  }

  /** Whether a command can reach a lock now. @param {OwnLock} lock */
  reaches(lock) {
    return lock.availability === "online" && this.bridges.get(lock.base)?.state !== "offline";
  }

  /** Locks in the order of their names. @returns {OwnLock[]} */
  all() {
    return [...this.locks.values()].sort((a, b) => a.key.localeCompare(b.key));
  }

  /**
   * Ask a bridge or a lock for something, once. Throws `Refusal` with what it refused, or `Problem`; after `unanswered` it
   * may have been done.
   * @param {string} where the topic in front of `/request`: `<base>/bridge` or a lock's key
   * @param {string} command such as `users/list` @param {Record<string, any>} [asked] @param {number} [timeoutMs]
   * @returns {Promise<any>} the answer's data
   */
  async request(where, command, asked = {}, timeoutMs = ANSWER_MS) {
    const base = where.slice(0, where.lastIndexOf("/"));
    if (this.bridges.get(base)?.state === "offline") throw new Problem("no_bridge");
    const mqtt = await this.connection.now();
    const inbox = `${base}/bridge/response/${this.account.username}/${this.#inbox}`;
    const payload = JSON.stringify({ ...asked, transaction: hex(random(8)) });
    const asking = mqtt.request(`${where}/request/${command}`, payload, inbox, timeoutMs, EXPIRY_S).catch((error) => {
      throw ["timeout", "offline", "closed"].includes(codeOf(error)) ? new Problem("unanswered", codeOf(error)) : error;
    });
    const answer = parse(text((await asking).payload));
    if (answer?.status !== "ok") throw new Refusal(answer?.error ?? "failed", answer?.message ?? "");
    return answer.data;
  }

  /** Have a lock act, once; its `doing` tells how it goes. Nothing is done while it acts. @param {OwnLock} lock @param {string} action */
  async act(lock, action) {
    if (lock.doing?.step === "asking") return;
    this.#step(lock, { action, step: "asking" });
    const patience = new Patience();
    let sent = false;
    try {
      if (this.bridges.get(lock.base)?.state === "offline") throw new Problem("no_bridge");
      const mqtt = await this.#connected(lock.base);
      patience.check();
      const transaction = hex(random(8));
      /** @type {Promise<any>} */
      const ended = new Promise((resolve) => this.#results.set(transaction, resolve));
      sent = true;
      try {
        await mqtt.publish(`${lock.key}/set`, JSON.stringify({ action, transaction }), { expiry: EXPIRY_S });
        const result = await within(Promise.race([ended, mqtt.over]), action.startsWith("lock_n_go") ? PAUSE_MS : ACTION_MS);
        if (result.status !== "ok") throw new Refusal(result.error ?? "failed", result.message ?? "");
      } finally {
        this.#results.delete(transaction);
      }
      this.#step(lock, { action, step: "done" });
    } catch (error) {
      const code = codeOf(error), isTold = error instanceof Refusal || code === "no_bridge" || code === "not_allowed";
      const isUnknown = code === "outcome_unknown" || code === "stopped" || (sent && !isTold);
      this.#step(lock, { action, step: isUnknown ? "unknown" : "failed", code, said: error instanceof Refusal ? error.said : "" });
    } finally {
      patience.end();
    }
  }

  /** Say of an action that was never asked for why it was not. @param {OwnLock} lock @param {string} action @param {string} code */
  drop(lock, action, code) {
    if (lock.doing?.step !== "asking") this.#step(lock, { action, step: "failed", code, said: "" });
  }

  /** @param {OwnLock} lock @param {Doing} doing */
  #step(lock, doing) {
    lock.doing = doing;
    this.#tell();
  }

  /** @param {string} words */
  #result(words) {
    const result = parse(words);
    this.#results.get(result?.transaction)?.(result);
  }

  /** Once for all that came at a time. */
  #tell() {
    if (this.#telling) return;
    this.#telling = true;
    setTimeout(() => {
      this.#telling = false;
      this.dispatchEvent(new Event("change"));
    });
  }
}

/** @param {string} words @returns {any} null if they are no JSON */
function parse(words) {
  try {
    return JSON.parse(words);
  } catch {
    return null;
  }
}
