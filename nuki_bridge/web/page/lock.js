/**
 * Exchanges with one lock over a `Link`, one at a time: its states, a challenge, an action. Nothing is ever repeated here.
 */

import { unhex } from "./bytes.js";
import { kindOf } from "./credential.js";
import { encryptedFrame, openFrame, openPlain, PLAIN_ERROR_SIZE } from "./frames.js";
import { ACTIONS, CHALLENGE_SIZE, COMMAND, failedCommand, lockAction, readError, readStates, requestData } from "./messages.js";
import { LinkOver, Problem, within } from "./problem.js";

/** One answer, in ms: the 15 s that the bridge may keep a frame, and the way back. */
const ANSWER_MS = 16000;
/** Silence after which nobody waits for the end of an action any more, in ms; lock 'n' go pauses up to 60 s. */
const SILENCE_MS = 20000;
const PAUSE_MS = 75000;

/**
 * What shows that an Opener has carried out an action: it does not always say that it has ended.
 * @type {Record<string, string>}
 */
const REACHED = { activate_rto: "rto_active", deactivate_rto: "locked", open: "open" };
/** So long its word that the action has ended is waited for then, in ms. */
const END_MS = 2000;

/** Refusals after which the frame may have been carried out; the last is no word of the bridge's, but this page's own. */
const MAY_BE_DONE = new Set(["disconnected", "outcome_unknown", "link_over"]);

/** @typedef {import("./messages.js").States} States */
/** @typedef {import("./frames.js").Message | {refused: string}} Event what came over the link */

export class Lock {
  /** @type {Event[]} */
  #events = [];
  #wake = () => {};
  /** @type {Promise<unknown>} */
  #turn = Promise.resolve();
  /** Called with states that the lock sends, whoever asked. @type {(states: States) => void} */
  onstates = () => {};

  /**
   * @param {import("./credential.js").Credential} credential @param {import("./relay.js").Link} link
   */
  constructor(credential, link) {
    this.link = link;
    this.authorizationId = credential.authorization_id;
    this.kind = kindOf(credential);
    this.key = unhex(credential.shared_key);
    link.onframe = (frame) => this.#take(frame);
    link.onrefusal = (code) => this.#add({ refused: code });
  }

  /** @returns {Promise<States>} throws `Problem` */
  states() {
    return this.#exclusively(async () => {
      await this.#write(COMMAND.requestData, requestData(COMMAND.states));
      return readStates(await this.#answer(COMMAND.states), this.kind);
    });
  }

  /** @returns {Promise<Uint8Array>} the nonce that the next command needs, good for one; throws `Problem` */
  challenge() {
    return this.#exclusively(async () => {
      await this.#write(COMMAND.requestData, requestData(COMMAND.challenge));
      const nonce = await this.#answer(COMMAND.challenge);
      if (nonce.length !== CHALLENGE_SIZE) throw new Problem("failed", "a challenge of another size");
      return nonce;
    });
  }

  /**
   * Have the lock act, once. Throws `Problem` with what the lock or the bridge refused, in which case nothing moved or
   * the lock told how it ended; `outcome_unknown` if the action was sent and its end is not known; `LinkOver` if nothing was sent,
   * because the link has ended since the challenge came.
   * @param {string} action of this kind of device @param {Uint8Array} challenge
   * @param {(step: "sent" | "accepted") => void} [onstep]
   * @param {() => void} [check] throws if it shall not be sent any more; asked just before
   */
  act(action, challenge, onstep = () => {}, check = () => {}) {
    return this.#exclusively(async () => {
      const silence = action.startsWith("lock_n_go") ? PAUSE_MS : SILENCE_MS, number = ACTIONS[this.kind][action];
      if (number === undefined) throw new Problem("not_allowed", `${action} is no action of this device`);
      let accepted = false, reached = false;
      check();
      if (!this.link.alive()) throw new LinkOver();
      onstep("sent");
      try {
        await this.#write(COMMAND.lockAction, lockAction(number, this.authorizationId, challenge));
        for (;;) {
          /** @type {Event | null} */
          const event = await this.#next(reached ? END_MS : accepted ? silence : ANSWER_MS).catch((error) => {
            if (reached) return null;
            throw error;
          });
          if (event === null) return;
          if ("refused" in event) throw this.#refusal(event.refused, accepted);
          if (event.command === COMMAND.error && [0, COMMAND.lockAction].includes(failedCommand(event.payload))) {
            throw new Problem(readError(event.payload));
          }
          if (event.command === COMMAND.states && this.kind === "opener" && accepted) {
            reached ||= readStates(event.payload, "opener").state === REACHED[action];
          }
          if (event.command !== COMMAND.status) continue;
          if (event.payload[0] === 0) return;
          if (!accepted) onstep("accepted");
          accepted = true;
        }
      } catch (error) {
        const code = error instanceof Problem ? error.code : "";
        // Only the broker's or the browser's word that nobody got it tells that it was not sent on.
        if (["timeout_here", "disconnected", "offline", "closed", "broker_unavailable", "no_account", "too_many_logins", "failed", "quota", ""].includes(code)) {
          throw new Problem("outcome_unknown", code);
        }
        throw error;
      }
    });
  }

  /** @param {string} code @param {boolean} accepted the lock has said that it begins */
  #refusal(code, accepted) {
    return new Problem(accepted || MAY_BE_DONE.has(code) ? "outcome_unknown" : code);
  }

  /** @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  #exclusively(work) {
    const mine = this.#turn.then(async () => {
      this.#events = [];
      this.link.work?.();
      try {
        return await work();
      } finally {
        this.link.rest?.();
      }
    });
    this.#turn = mine.catch(() => {});
    return mine;
  }

  /** @param {number} command @param {Uint8Array} payload */
  async #write(command, payload) {
    if (!this.link.alive()) throw new LinkOver(); // ended while we waited for our turn
    await this.link.write(encryptedFrame(this.authorizationId, command, payload, this.key));
  }

  /** What answers a question. @param {number} command @returns {Promise<Uint8Array>} */
  async #answer(command) {
    for (;;) {
      const event = await this.#next(ANSWER_MS);
      if ("refused" in event) throw new Problem(event.refused);
      if (event.command === COMMAND.error) throw new Problem(readError(event.payload));
      if (event.command === command) return event.payload;
    }
  }

  /** @param {number} ms @returns {Promise<Event>} throws `Problem("timeout_here")` */
  async #next(ms) {
    if (!this.#events.length) {
      /** @type {Promise<void>} */
      const woken = new Promise((resolve) => (this.#wake = resolve));
      await within(Promise.race([woken, this.link.over]), ms, "timeout_here");
    }
    return /** @type {Event} */ (this.#events.shift());
  }

  /** @param {Uint8Array} frame */
  #take(frame) {
    let message;
    try {
      if (frame.length === PLAIN_ERROR_SIZE) {
        message = openPlain(frame);
      } else {
        const opened = openFrame(frame, this.key);
        if (opened.authorizationId !== this.authorizationId) return;
        message = opened;
      }
      if (message.command === COMMAND.states) this.onstates(readStates(message.payload, this.kind));
    } catch {
      return; // noise may come from anybody
    }
    this.#add(message);
  }

  /** @param {Event} event */
  #add(event) {
    this.#events.push(event);
    this.#wake();
  }
}
