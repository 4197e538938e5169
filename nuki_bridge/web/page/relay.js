/**
 * A session with a lock through the bridge: whole encrypted frames over MQTT, which the bridge cannot read.
 *
 * It is one kind of `Link`; Web Bluetooth is the other. What the bridge refuses ends a session, and the next one has
 * another number, so that no late answer passes for that of a new question.
 */

import { hex } from "./bytes.js";
import { random } from "./crypto.js";
import { refusalIn } from "./redeem.js";

/** A frame that the broker could not deliver by then is dropped there, in seconds. */
export const FRAME_EXPIRY_S = 15;
/** After a lost link the bridge may still say so long that the frame was not passed on, in ms. */
const AFTERWORD_MS = 500;

/**
 * @typedef {object} Link one connection to a lock
 * @property {(frame: Uint8Array) => Promise<void>} write throws `Problem`
 * @property {(frame: Uint8Array) => void} onframe
 * @property {(code: string) => void} onrefusal the last frame was not passed on, or `disconnected`, `outcome_unknown`:
 *   what became of it is not known. The link is over.
 * @property {() => void} onnews the lock's state has changed
 * @property {Promise<never>} over rejects with a `Problem` when the connection below has ended
 * @property {() => boolean} alive
 * @property {() => Promise<unknown>} open throws `Problem`
 * @property {() => void} close
 * @property {() => void} [work] an exchange begins
 * @property {() => void} [rest] an exchange has ended
 */

/** @implements {Link} */
export class Relay {
  #ended = false;
  /** Nor is news listened to any more: the bridge tells it to sessions that its link to the lock has ended, too. */
  #closed = false;
  /** @type {(frame: Uint8Array) => void} */
  onframe = () => {};
  /** @type {(code: string) => void} */
  onrefusal = () => {};
  onnews = () => {};

  /**
   * @param {import("./mqtt.js").Mqtt} mqtt @param {string} topic the lock's, with the base topic
   */
  constructor(mqtt, topic) {
    this.mqtt = mqtt;
    this.over = mqtt.over;
    this.topic = `${topic}/relay/${hex(random(16))}`;
  }

  /** Have the broker deliver what is for this session; throws `Problem`. */
  async open() {
    await Promise.all([
      this.mqtt.subscribe(`${this.topic}/indicate`, ({ payload, retain }) => retain || this.#ended || this.onframe(payload)),
      this.mqtt.subscribe(`${this.topic}/error`, ({ payload, retain }) => retain || this.#refused(payload)),
      this.mqtt.subscribe(`${this.topic}/news`, ({ retain }) => retain || this.#closed || this.onnews()),
    ]);
    return this;
  }

  alive() {
    return !this.#ended && !this.mqtt.closed;
  }

  /** @param {Uint8Array} frame */
  async write(frame) {
    await this.mqtt.publish(`${this.topic}/write`, frame, { expiry: FRAME_EXPIRY_S });
  }

  /** End the session; the bridge forgets it by itself. */
  close() {
    this.#end();
    if (this.#closed) return;
    this.#closed = true;
    this.#drop("news");
  }

  #end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#drop("indicate", "error");
  }

  /** @param {...string} names */
  #drop(...names) {
    if (!this.mqtt.closed) this.mqtt.unsubscribe(...names.map((name) => `${this.topic}/${name}`)).catch(() => {});
  }

  /** @param {Uint8Array} payload */
  #refused(payload) {
    if (this.#ended) return;
    const code = refusalIn(payload) ?? "failed";
    const end = () => {
      if (this.#ended) return;
      this.#end();
      this.onrefusal(code);
    };
    if (code === "disconnected") setTimeout(end, AFTERWORD_MS);
    else end();
  }
}
