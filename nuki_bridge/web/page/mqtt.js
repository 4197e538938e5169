/**
 * One connection to the broker, MQTT 5 over WebSocket. It ends once and for good: connecting again is `connection.js`'s.
 */

import { hex, utf8 } from "./bytes.js";
import { random } from "./crypto.js";
import * as packets from "./packets.js";
import { Problem, within } from "./problem.js";

/** Seconds without a packet of ours after which the broker takes us for lost; a ping goes out in time. */
const KEEP_ALIVE_S = 30;
/** How long the broker may take to answer a packet, in ms. */
const REPLY_MS = 6000;

/** @typedef {{topic: string, payload: Uint8Array, retain: boolean, properties: packets.Properties}} MqttMessage */

/** What reason codes mean for us. @type {Record<number, string>} */
const REASONS = { 0x10: "no_bridge", 0x87: "not_allowed", 0x86: "bad_password", 0x88: "broker_unavailable", 0x97: "quota" };

/** What close codes of the page's server mean. @type {Record<number, string>} */
const CLOSED = { 4401: "no_account", 4429: "too_many_logins", 4502: "broker_unavailable", 4503: "broker_unavailable" };

/** @param {number} reason @param {string} otherwise */
const refusal = (reason, otherwise) => new Problem(REASONS[reason] ?? otherwise, `reason code ${reason}`);

/** Whether a topic filter with `+` and `#` takes a topic. @param {string} filter @param {string} topic */
export function matches(filter, topic) {
  const levels = filter.split("/"), names = topic.split("/");
  for (const [index, level] of levels.entries()) {
    if (level === "#") return true;
    if (index >= names.length || (level !== "+" && level !== names[index])) return false;
  }
  return levels.length === names.length;
}

export class Mqtt {
  /** @type {WebSocket | null} */
  #socket = null;
  #splitter = new packets.Splitter();
  /** @type {Map<string, (message: MqttMessage) => void>} */
  #readers = new Map();
  /** @type {Map<number, (packet: packets.Packet) => void>} */
  #awaited = new Map();
  #nextId = 1;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pinging;
  /** Whoever waits for the answer to a ping, in the order of the pings: so the broker answers. @type {(() => void)[]} */
  #pongs = [];
  #keepAliveS = KEEP_ALIVE_S;
  /** Called once, with the reason, when the connection has ended. @type {(problem: Problem) => void} */
  onclose = () => {};
  /** @type {Problem | null} */
  closed = null;
  /** @type {Promise<never>} rejects when the connection ends */
  over;
  /** @type {(problem: Problem) => void} */
  #end = () => {};

  constructor() {
    this.over = new Promise((_, reject) => (this.#end = reject));
    this.over.catch(() => {});
  }

  /**
   * Connect; throws `Problem`: `offline` without an answer, `bad_password`, `no_account`, `not_allowed`, or
   * `broker_unavailable`.
   * @param {string} url `wss://…/mqtt` @param {{username?: string, password?: string}} [account]
   * @param {number} [timeoutMs]
   */
  async open(url, account, timeoutMs = REPLY_MS) {
    const socket = (this.#socket = new WebSocket(url, ["mqtt"]));
    socket.binaryType = "arraybuffer";
    socket.onclose = ({ code }) => this.close(new Problem(CLOSED[code] ?? "offline", `the socket was closed: ${code}`));
    socket.onmessage = (event) => this.#received(new Uint8Array(event.data));
    const answered = new Promise((resolve) => this.#awaited.set(0, resolve));
    socket.onopen = () => socket.send(packets.connect(`page-${hex(random(8))}`, KEEP_ALIVE_S, account));
    try {
      const answer = await within(Promise.race([answered, this.over]), timeoutMs, "offline");
      if (answer.code) throw refusal(answer.code, "broker_unavailable");
      this.#keepAliveS = Math.max(2, answer.properties.keepAlive ?? KEEP_ALIVE_S);
      this.#pinging = setInterval(() => this.ping().catch(() => {}), this.#keepAliveS * 800);
    } catch (error) {
      this.close(/** @type {Problem} */ (error));
      throw error;
    }
  }

  /** @param {Problem} [problem] why */
  close(problem = new Problem("closed")) {
    if (this.closed) return;
    this.closed = problem;
    clearInterval(this.#pinging);
    const socket = this.#socket;
    if (socket) {
      socket.onclose = socket.onmessage = socket.onopen = null;
      if (socket.readyState === WebSocket.OPEN) socket.send(packets.disconnect());
      socket.close();
    }
    this.#end(problem);
    this.onclose(problem);
  }

  /** Have `reader` called with each message on `filter`, once the broker has said so. @param {string} filter @param {(message: MqttMessage) => void} reader */
  async subscribe(filter, reader) {
    this.#readers.set(filter, reader);
    const answer = await this.#ask((id) => packets.subscribe(id, [filter]));
    if ((answer.code ?? 0) >= 128) throw refusal(answer.code ?? 0, "not_allowed");
  }

  /** @param {string[]} filters */
  async unsubscribe(...filters) {
    for (const filter of filters) this.#readers.delete(filter);
    await this.#ask((id) => packets.unsubscribe(id, filters));
  }

  /**
   * Publish with QoS 1 and wait until the broker has it. Throws `Problem`: `no_bridge` if nobody listens on this topic,
   * `not_allowed`; after any other it may have been delivered.
   * @param {string} topic @param {Uint8Array | string} payload @param {packets.Properties} [properties]
   */
  async publish(topic, payload, properties) {
    const bytes = typeof payload === "string" ? utf8(payload) : payload;
    const answer = await this.#ask((id) => packets.publish(topic, bytes, id, properties));
    if (answer.code) throw refusal(answer.code, "failed");
  }

  /** Publish with QoS 0, and never know. @param {string} topic @param {Uint8Array | string} payload @param {packets.Properties} [properties] */
  send(topic, payload, properties) {
    this.#send(packets.publish(topic, typeof payload === "string" ? utf8(payload) : payload, 0, properties));
  }

  /**
   * Ask by request and response (MQTT 5): the answer comes on `inbox`, which has to be subscribed to by nobody else.
   * Throws `Problem`, `timeout` among them.
   * @param {string} topic @param {Uint8Array | string} payload @param {string} inbox @param {number} timeoutMs
   * @param {number} [expiryS] after which nobody gets it any more @returns {Promise<MqttMessage>}
   */
  async request(topic, payload, inbox, timeoutMs, expiryS = Math.ceil(timeoutMs / 1000)) {
    const correlation = random(16);
    /** @type {Promise<MqttMessage>} */
    const answer = new Promise((resolve) => this.#requests.set(hex(correlation), resolve));
    try {
      if (!this.#readers.has(inbox)) await this.subscribe(inbox, (message) => this.#answered(message));
      await this.publish(topic, payload, { responseTopic: inbox, correlation, expiry: expiryS });
      return await within(Promise.race([answer, this.over]), timeoutMs);
    } finally {
      this.#requests.delete(hex(correlation));
    }
  }
  /** @type {Map<string, (message: MqttMessage) => void>} */
  #requests = new Map();

  /** @param {MqttMessage} message */
  #answered(message) {
    this.#requests.get(hex(message.properties.correlation ?? new Uint8Array()))?.(message);
  }

  /** Find out whether the broker still hears us; ends the connection if not. @param {number} [timeoutMs] */
  async ping(timeoutMs = REPLY_MS) {
    try {
      this.#send(packets.pingreq());
      const answered = /** @type {Promise<void>} */ (new Promise((resolve) => this.#pongs.push(resolve)));
      await within(Promise.race([answered, this.over]), timeoutMs, "offline");
    } catch (error) {
      this.close(/** @type {Problem} */ (error));
      throw error;
    }
  }

  /** Send a packet with an ID and wait for what answers it. @param {(id: number) => Uint8Array<ArrayBuffer>} make */
  async #ask(make) {
    const id = this.#nextId;
    this.#nextId = id === 65535 ? 1 : id + 1;
    /** @type {Promise<packets.Packet>} */
    const answered = new Promise((resolve) => this.#awaited.set(id, resolve));
    try {
      this.#send(make(id));
      return await within(Promise.race([answered, this.over]), REPLY_MS, "offline");
    } catch (error) {
      this.close(/** @type {Problem} */ (error)); // a broker that does not answer is not there
      throw error;
    } finally {
      this.#awaited.delete(id);
    }
  }

  /** @param {Uint8Array<ArrayBuffer>} packet */
  #send(packet) {
    if (this.closed) throw this.closed;
    if (this.#socket?.readyState !== WebSocket.OPEN) throw new Problem("offline");
    this.#socket.send(packet);
  }

  /** @param {Uint8Array} bytes */
  #received(bytes) {
    let found;
    try {
      found = this.#splitter.feed(bytes);
    } catch (error) {
      this.close(new Problem("broker_unavailable", String(error)));
      return;
    }
    for (const packet of found) this.#take(packet);
  }

  /** @param {packets.Packet} packet */
  #take(packet) {
    const { type, id = 0, topic = "", payload = new Uint8Array(), retain = false, properties } = packet;
    if (type === packets.TYPE.publish) {
      if (id) this.#send(packets.puback(id));
      for (const [filter, reader] of this.#readers) if (matches(filter, topic)) reader({ topic, payload, retain, properties });
    } else if (type === packets.TYPE.pingresp) {
      this.#pongs.shift()?.();
    } else if (type === packets.TYPE.disconnect) {
      this.close(refusal(packet.code ?? 0, "offline"));
    } else {
      this.#awaited.get(id)?.(packet);
    }
  }
}
