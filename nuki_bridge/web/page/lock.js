/**
 * Exchanges with one lock over a `Link`, one at a time: its states, a challenge, an action. Nothing is ever repeated here.
 */

import { unhex } from "./bytes.js";
import { encryptedFrame, openFrame, openPlain, PLAIN_ERROR_SIZE } from "./frames.js";
import { ACTION, CHALLENGE_SIZE, COMMAND, failedCommand, lockAction, readError, readStates, requestData } from "./messages.js";
import { Problem, within } from "./problem.js";

/** One answer, in ms: the 15 s that the bridge may keep a frame, and the way back. */
const ANSWER_MS = 16000;
/** Silence after which nobody waits for the end of an action any more, in ms; lock 'n' go pauses up to 60 s. */
const SILENCE_MS = 20000;
const PAUSE_MS = 75000;

/** Refusals after which the frame may have been carried out. */
const MAY_BE_DONE = new Set(["disconnected", "outcome_unknown"]);

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
    this.key = unhex(credential.shared_key);
    link.onframe = (frame) => this.#take(frame);
    link.onrefusal = (code) => this.#add({ refused: code });
  }

  /** @returns {Promise<States>} throws `Problem` */
  states() {
    return this.#exclusively(async () => {
      await this.#write(COMMAND.requestData, requestData(COMMAND.states));
      return readStates(await this.#answer(COMMAND.states));
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
   * the lock told how it ended; `outcome_unknown` if the action was sent and its end is not known.
   * @param {keyof typeof ACTION} action @param {Uint8Array} challenge
   * @param {(step: "sent" | "accepted") => void} [onstep]
   * @param {() => void} [check] throws if it shall not be sent any more; asked just before
   */
  act(action, challenge, onstep = () => {}, check = () => {}) {
    return this.#exclusively(async () => {
      const silence = action.startsWith("lock_n_go") ? PAUSE_MS : SILENCE_MS;
      let accepted = false;
      check();
      onstep("sent");
      try {
        await this.#write(COMMAND.lockAction, lockAction(ACTION[action], this.authorizationId, challenge));
        for (;;) {
          const event = await this.#next(accepted ? silence : ANSWER_MS);
          if ("refused" in event) throw this.#refusal(event.refused, accepted);
          if (event.command === COMMAND.error && [0, COMMAND.lockAction].includes(failedCommand(event.payload))) {
            throw new Problem(readError(event.payload));
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
    if (!this.link.alive()) throw new Problem("link_over"); // ended while we waited for our turn; nothing was sent
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
      if (message.command === COMMAND.states) this.onstates(readStates(message.payload));
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
