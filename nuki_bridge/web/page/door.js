/**
 * One door of this phone: what is known of it, and what can be done. Views show it and listen to its event `change`.
 */

import { doorName, kindOf } from "./credential.js";
import { Lock } from "./lock.js";
import { MANUAL, MOVING } from "./messages.js";
import { Patience } from "./patience.js";
import { LinkOver, Problem, codeOf } from "./problem.js";
import { Relay } from "./relay.js";

/** While the motor turns the states are read again after so long, in ms, and so many times at most. */
const LOOK_AGAIN_MS = 2000;
const LOOK_AGAIN_TIMES = 20;
/** So long it is news that somebody rang, in ms. */
export const RANG_MS = 60000;
/** Between two questions whether the bridge is back, in ms. */
const BRIDGE_MS = 5000;
/** So often the states are asked for after a lost answer, and the pauses between, in ms. */
const SETTLE_PAUSES_MS = [500, 2000, 5000];

/** @typedef {import("./messages.js").States} States */
/** @typedef {string} Action one of this kind of device, see `ACTIONS` */

/**
 * @typedef {object} Doing the action that is under way or has just ended
 * @property {Action} action
 * @property {"asking" | "sent" | "accepted" | "looking" | "done" | "failed" | "unknown"} step
 * @property {string} [code] why it failed
 */

export class Door extends EventTarget {
  /** @type {Lock | null} */
  #lock = null;
  /** @type {Promise<Lock> | null} */
  #opening = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #closed = false;
  #looked = 0;
  /** @type {Promise<boolean> | null} */
  #refreshing = null;
  #again = false;
  /** @type {Doing | null} */
  doing = null;
  /** When somebody rang and the door was opened to them, in ms, while that is news. @type {number | null} */
  rang = null;
  /** The lock in reach of this phone, if it is spoken to by Bluetooth and not through the bridge. @type {{link: (kind: import("./messages.js").Kind) => import("./relay.js").Link} | null} */
  near = null;
  /** Why the states could not be read the last time. @type {string | null} */
  problem = null;

  /**
   * @param {import("./store.js").DoorRecord} record @param {import("./connection.js").Connection} connection
   * @param {import("./store.js").Store} store
   */
  constructor(record, connection, store) {
    super();
    this.id = record.id;
    this.credential = record.credential;
    this.name = doorName(record.credential);
    this.kind = kindOf(record.credential);
    this.states = record.states;
    this.at = record.at;
    this.connection = connection;
    this.store = store;
  }

  /** A session with the lock, a new one if the last is over; throws `Problem`. @returns {Promise<Lock>} */
  async lock() {
    if (this.#lock?.link.alive()) return this.#lock;
    this.#opening ??= this.#open().finally(() => (this.#opening = null));
    return await this.#opening;
  }

  /** @returns {Promise<Lock>} */
  async #open() {
    const link = this.near ? this.near.link(this.kind) : await this.#relay();
    const lock = new Lock(this.credential, link);
    lock.onstates = (states) => this.#heard(states);
    this.#lock?.link.close();
    link.onnews = () => this.busy || this.refresh(); // after an action of our own they are read anyway
    this.#lock = lock;
    await link.open();
    return lock;
  }

  async #relay() {
    if (!this.credential.remote) throw new Problem("remote_not_allowed");
    return new Relay(await this.connection.now(), `${this.credential.base_topic}/${this.credential.lock.name}`);
  }

  /** Speak to the lock by Bluetooth, or through the bridge again. @param {Door["near"]} near */
  use(near) {
    this.#leave();
    this.near = near;
    this.problem = null;
    this.settle();
  }

  /** Leave this session: no late answer shall pass for that of the next question. */
  #leave() {
    const link = this.#lock?.link;
    this.#lock = null;
    link?.close();
  }

  /** Read the states; what is asked for meanwhile is one more reading after it. @returns {Promise<boolean>} they were read */
  async refresh() {
    this.#closed = false;
    if (this.#refreshing) {
      this.#again = true;
      return this.#refreshing;
    }
    this.#refreshing = this.#read();
    const read = await this.#refreshing;
    this.#refreshing = null;
    if (this.#again) {
      this.#again = false;
      return this.refresh();
    }
    return read;
  }

  async #read() {
    try {
      await this.#asked((lock) => lock.states());
      return true;
    } catch (error) {
      this.problem = codeOf(error);
      this.#leave();
      this.#tell();
      this.#awaitBridge();
      return false;
    }
  }

  /** After the broker has begun anew the bridge may come later than the page: ask again, which costs the lock nothing. */
  #awaitBridge() {
    clearTimeout(this.#timer);
    if (this.problem !== "no_bridge" || this.near || this.#closed) return;
    this.#timer = setTimeout(() => {
      if (document.visibilityState === "visible") this.busy || this.refresh();
      else this.#awaitBridge();
    }, BRIDGE_MS);
  }

  /** @param {States} states */
  #heard(states) {
    const isRing = this.kind === "opener" && !this.busy && ["opening", "open"].includes(states.state) && states.trigger === MANUAL;
    this.at = Date.now();
    if (isRing && (this.rang === null || this.at - this.rang > RANG_MS)) this.rang = this.at;
    this.states = states;
    this.problem = null;
    this.store.remember(this.id, states, this.at).catch(() => {});
    clearTimeout(this.#timer);
    if (!this.#isPassing) this.#looked = 0;
    else if (this.#looked++ < LOOK_AGAIN_TIMES) this.#timer = setTimeout(() => this.doing?.step === "accepted" || this.refresh(), LOOK_AGAIN_MS);
    this.#tell();
  }

  /** Whether the state ends by itself before long. */
  get #isPassing() {
    return this.states !== null && (MOVING.has(this.states.state) || this.states.state === "open");
  }

  /** Whether an action is under way. */
  get busy() {
    return this.doing !== null && !["done", "failed", "unknown"].includes(this.doing.step);
  }

  /** Ask for the challenge ahead, while the button is still being held. @returns {Promise<{lock: Lock, challenge: Uint8Array}>} */
  prepare() {
    const prepared = this.#prepare();
    prepared.catch(() => {});
    return prepared;
  }

  #prepare() {
    return this.#asked(async (lock) => ({ lock, challenge: await lock.challenge() }));
  }

  /**
   * Ask the lock, over another session if the present one ends before the question is sent.
   * @template T @param {(lock: Lock) => Promise<T>} question @returns {Promise<T>}
   */
  async #asked(question) {
    try {
      return await question(await this.lock());
    } catch (error) {
      if (!(error instanceof LinkOver)) throw error;
      return await question(await this.lock());
    }
  }

  /**
   * Have the lock act, once; `doing` tells how it goes and how it ended. Nothing is done while another action is under way.
   * If the link ends between the challenge and the sending, both are done over another one.
   * @param {Action} action @param {Promise<{lock: Lock, challenge: Uint8Array}>} [prepared]
   */
  async act(action, prepared = this.prepare()) {
    if (this.busy) return;
    const patience = new Patience(), asked = Date.now();
    this.#step(action, "asking");
    try {
      const sent = async (/** @type {typeof prepared} */ ready) => {
        const { lock, challenge } = await ready;
        await lock.act(action, challenge, (step) => this.#step(action, step), () => patience.check());
      };
      await sent(prepared).catch((error) => (error instanceof LinkOver ? sent(this.#prepare()) : Promise.reject(error)));
      if (this.kind === "opener" && this.near) this.#leave(); // it may be deaf on this link after an action
      if (this.kind === "lock" || this.at < asked || this.#isPassing) await this.refresh(); // else its states came with its answer
      this.#step(action, "done");
    } catch (error) {
      const code = codeOf(error);
      this.#leave();
      if (code === "outcome_unknown") await this.#settle(action);
      else {
        this.#step(action, "failed", code);
        if (!HOPELESS.has(code)) await this.refresh();
        else if (code === "no_bridge") this.refresh();
      }
    } finally {
      patience.end();
    }
  }

  /** Say of an action that was never asked of the lock why it was not. @param {Action} action @param {string} code */
  drop(action, code) {
    if (!this.busy) this.#step(action, "failed", code);
  }

  /** The answer got lost: ask the lock for its states, and for nothing else. @param {Action} action */
  async #settle(action) {
    this.#step(action, "looking");
    for (const wait of SETTLE_PAUSES_MS) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (await this.refresh()) break;
    }
    this.#step(action, "unknown");
  }

  /** @param {Action} action @param {Doing["step"]} step @param {string} [code] */
  #step(action, step, code) {
    this.doing = { action, step, code };
    this.#tell();
  }

  /** Forget how the last action ended. */
  settle() {
    if (this.busy) return;
    this.doing = null;
    this.#tell();
  }

  /** Leave the door: nobody looks at it any more. */
  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#leave();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Refusals after which reading the states would be refused, too. */
const HOPELESS = new Set(["not_authorized", "disabled", "remote_not_allowed", "no_bridge", "not_paired", "unknown_lock", "pending", "not_allowed"]);
