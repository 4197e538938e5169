/**
 * MQTT 5 packets as bytes: what a client of WebSocket sends, and what a broker answers. Pure but for `Splitter`.
 */

import { join, text, utf8 } from "./bytes.js";

/** Packet types. */
export const TYPE = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
};

/** Longest packet that is taken from the broker, in bytes. */
const MAX_PACKET_SIZE = 256 * 1024;

/** Properties that are read or written, by identifier: their names here. @type {Record<number, string>} */
const PROPERTIES = { 0x02: "expiry", 0x08: "responseTopic", 0x09: "correlation", 0x13: "keepAlive", 0x1f: "reason", 0x27: "maxPacket" };
/** How long a property's value is: bytes, or "v"ariable integer, "b"inary or UTF-8, "p"air. @type {Record<number, number | string>} */
const KINDS = {
  0x01: 1, 0x02: 4, 0x03: "b", 0x08: "b", 0x09: "b", 0x0b: "v", 0x11: 4, 0x12: "b", 0x13: 2, 0x15: "b", 0x16: "b", 0x17: 1,
  0x18: 4, 0x19: 1, 0x1a: "b", 0x1c: "b", 0x1f: "b", 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1, 0x26: "p", 0x27: 4, 0x28: 1,
  0x29: 1, 0x2a: 1,
};

/** Bytes that a broker would not send. */
export class BadPacket extends Error {}

/**
 * @typedef {object} Properties
 * @property {number} [expiry] seconds after which the broker drops the message
 * @property {string} [responseTopic]
 * @property {Uint8Array} [correlation]
 * @property {number} [keepAlive] seconds
 * @property {string} [reason]
 * @property {number} [maxPacket] bytes
 */

/** @param {number} value @returns {number[]} big-endian, 2 bytes */
const be16 = (value) => [value >> 8, value & 255];

/** @param {string | Uint8Array} value @returns {Uint8Array} with its length in front */
function block(value) {
  const bytes = typeof value === "string" ? utf8(value) : value;
  return join(be16(bytes.length), bytes);
}

/** @param {number} value @returns {number[]} the variable byte integer */
function varint(value) {
  const bytes = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
}

/** @param {Properties} properties */
function propertyBytes(properties) {
  const parts = [];
  for (const [id, name] of Object.entries(PROPERTIES)) {
    const value = /** @type {any} */ (properties)[name];
    if (value === undefined) continue;
    const size = KINDS[Number(id)];
    const bytes = size === 4 ? [...be16(value >>> 16), ...be16(value & 65535)] : size === 2 ? be16(value) : block(value);
    parts.push([Number(id)], bytes);
  }
  const all = join(...parts);
  return join(varint(all.length), all);
}

/** @param {number} type @param {number} flags @param {...ArrayLike<number>} parts */
function packet(type, flags, ...parts) {
  const body = join(...parts);
  return join([(type << 4) | flags], varint(body.length), body);
}

/**
 * @param {string} clientId @param {number} keepAliveS
 * @param {{username?: string, password?: string}} [account]
 */
export function connect(clientId, keepAliveS, account = {}) {
  const { username, password } = account;
  const flags = 2 | (username === undefined ? 0 : 128) | (password === undefined ? 0 : 64);
  return packet(TYPE.connect, 0, block("MQTT"), [5, flags], be16(keepAliveS), propertyBytes({ maxPacket: MAX_PACKET_SIZE }),
    block(clientId), username === undefined ? [] : block(username), password === undefined ? [] : block(password));
}

/** @param {number} id @param {string[]} filters with QoS 1 @param {number} [options] of MQTT 5 */
export const subscribe = (id, filters, options = 1) =>
  packet(TYPE.subscribe, 2, be16(id), [0], ...filters.flatMap((filter) => [block(filter), [options]]));

/** @param {number} id @param {string[]} filters */
export const unsubscribe = (id, filters) => packet(TYPE.unsubscribe, 2, be16(id), [0], ...filters.map(block));

/**
 * @param {string} topic @param {Uint8Array} payload @param {number} id 0 for QoS 0, which has none
 * @param {Properties} [properties] @param {boolean} [retain]
 */
export const publish = (topic, payload, id, properties = {}, retain = false) =>
  packet(TYPE.publish, (id ? 2 : 0) | (retain ? 1 : 0), block(topic), id ? be16(id) : [], propertyBytes(properties), payload);

/** @param {number} id */
export const puback = (id) => packet(TYPE.puback, 0, be16(id));
export const pingreq = () => packet(TYPE.pingreq, 0);
export const disconnect = () => packet(TYPE.disconnect, 0);

/** Reads one packet's body from its start. */
class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  get left() {
    return this.bytes.length - this.at;
  }
  /** @param {number} size */
  take(size) {
    if (size > this.left) throw new BadPacket("a packet ends too early");
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }
  /** @param {number} size bytes, big-endian */
  number(size) {
    return this.take(size).reduce((value, byte) => value * 256 + byte, 0);
  }
  block() {
    return this.take(this.number(2));
  }
  varint() {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.number(1);
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new BadPacket("a length has more than 4 bytes");
  }
  /** @returns {Properties} those that are known */
  properties() {
    /** @type {any} */
    const found = {};
    const inside = new Reader(this.take(this.varint()));
    while (inside.left) {
      const id = inside.varint();
      const kind = KINDS[id];
      if (kind === undefined) throw new BadPacket("unknown property");
      let value;
      if (kind === "v") value = inside.varint();
      else if (kind === "b") value = inside.block();
      else if (kind === "p") value = [inside.block(), inside.block()];
      else value = inside.number(/** @type {number} */ (kind));
      if (PROPERTIES[id]) found[PROPERTIES[id]] = id === 0x08 || id === 0x1f ? text(/** @type {Uint8Array} */ (value)) : value;
    }
    return found;
  }
}

/**
 * @typedef {object} Packet
 * @property {number} type
 * @property {number} [id] of the packet that is answered, or is to be
 * @property {number} [code] reason code; 128 and above is a refusal
 * @property {string} [topic]
 * @property {Uint8Array} [payload]
 * @property {boolean} [retain]
 * @property {Properties} properties
 */

/** @param {number} first byte of the packet @param {Uint8Array} body @returns {Packet} throws `BadPacket` */
export function read(first, body) {
  const type = first >> 4;
  const reader = new Reader(body);
  /** @type {Packet} */
  const found = { type, properties: {} };
  switch (type) {
    case TYPE.publish:
      found.retain = (first & 1) === 1;
      found.topic = text(reader.block());
      if (first & 6) found.id = reader.number(2);
      found.properties = reader.properties();
      found.payload = reader.take(reader.left).slice();
      break;
    case TYPE.connack:
      reader.take(1);
      found.code = reader.number(1);
      if (reader.left) found.properties = reader.properties();
      break;
    case TYPE.puback:
      found.id = reader.number(2);
      found.code = reader.left ? reader.number(1) : 0;
      break;
    case TYPE.suback:
    case TYPE.unsuback:
      found.id = reader.number(2);
      reader.properties();
      found.code = Math.max(0, ...reader.take(reader.left));
      break;
    case TYPE.disconnect:
      found.code = reader.left ? reader.number(1) : 0;
      break;
  }
  return found;
}

/** Cuts a stream of bytes into packets. */
export class Splitter {
  /** @type {Uint8Array} */
  #buffer = new Uint8Array();

  /** @param {Uint8Array} bytes @returns {Packet[]} the packets that are whole now; throws `BadPacket` */
  feed(bytes) {
    this.#buffer = join(this.#buffer, bytes);
    const packets = [];
    for (;;) {
      const buffer = this.#buffer;
      let length = 0, at = 1;
      for (; ; at++) {
        if (at >= buffer.length) return packets;
        if (at > 4) throw new BadPacket("a length has more than 4 bytes");
        length |= (buffer[at] & 127) << (7 * (at - 1));
        if (buffer[at] < 128) break;
      }
      if (length > MAX_PACKET_SIZE) throw new BadPacket("a packet is too large");
      if (buffer.length < at + 1 + length) return packets;
      packets.push(read(buffer[0], buffer.subarray(at + 1, at + 1 + length)));
      this.#buffer = buffer.slice(at + 1 + length);
    }
  }
}
