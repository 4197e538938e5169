/**
 * Plain and encrypted messages of the lock, their CRC, and the assembling of pieces. No state but `Reassembler`'s, no I/O.
 */

import { join, readU16, readU32, u16, u32 } from "./bytes.js";
import { NONCE_SIZE, TAG_SIZE, random, seal, unseal } from "./crypto.js";

/** Nonce (24 bytes), authorization ID (4) and length (2) in front of the ciphertext. */
export const HEADER_SIZE = 30;
/** Bytes of an unencrypted Error Report; no encrypted frame is so short. */
export const PLAIN_ERROR_SIZE = 7;
/** Longest frame taken from a lock; every known message is far shorter. */
const MAX_FRAME_SIZE = 512;

/** A frame that no lock sends, or that somebody else's key has made. */
export class BadFrame extends Error {}

/** @typedef {{command: number, payload: Uint8Array}} Message */

/** CRC-16/CCITT-FALSE. @param {Uint8Array} bytes @returns {number} */
export function crc(bytes) {
  let value = 0xffff;
  for (const byte of bytes) {
    value ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) value = value & 0x8000 ? (value << 1) ^ 0x1021 : value << 1;
    value &= 0xffff;
  }
  return value;
}

/** @param {number} command @param {Uint8Array} payload @returns {Uint8Array} an unencrypted frame */
export function plainFrame(command, payload) {
  const body = join(u16(command), payload);
  return join(body, u16(crc(body)));
}

/** @param {Uint8Array} frame @returns {Message} what an unencrypted frame holds; throws `BadFrame` */
export function openPlain(frame) {
  if (frame.length < 4) throw new BadFrame("a plain frame is too short");
  if (crc(frame.subarray(0, -2)) !== readU16(frame, frame.length - 2)) throw new BadFrame("a plain frame has a wrong CRC");
  return { command: readU16(frame, 0), payload: frame.slice(2, -2) };
}

/**
 * An encrypted frame, 54 bytes more than its payload.
 * @param {number} authorizationId @param {number} command @param {Uint8Array} payload
 * @param {Uint8Array} key 32 bytes @param {Uint8Array} [nonce] 24 bytes; only tests give one
 */
export function encryptedFrame(authorizationId, command, payload, key, nonce = random(NONCE_SIZE)) {
  const body = join(u32(authorizationId), u16(command), payload);
  const ciphertext = seal(join(body, u16(crc(body))), nonce, key);
  return join(nonce, u32(authorizationId), u16(ciphertext.length), ciphertext);
}

/**
 * What an encrypted frame holds; throws `BadFrame` or `BadBox`. A CRC of zero passes: some firmware leaves it out, and
 * the tag has proved the content.
 * @param {Uint8Array} frame @param {Uint8Array} key @returns {Message & {authorizationId: number}}
 */
export function openFrame(frame, key) {
  if (frame.length < HEADER_SIZE + TAG_SIZE || frame.length !== HEADER_SIZE + readU16(frame, 28)) {
    throw new BadFrame("an encrypted frame contradicts its length field");
  }
  const body = unseal(frame.subarray(HEADER_SIZE), frame.subarray(0, NONCE_SIZE), key);
  if (body.length < 8) throw new BadFrame("an encrypted frame holds too little");
  const found = readU16(body, body.length - 2);
  if (found !== 0 && found !== crc(body.subarray(0, -2))) throw new BadFrame("an encrypted frame has a wrong CRC");
  return { authorizationId: readU32(body, 0), command: readU16(body, 4), payload: body.slice(6, -2) };
}

/** Collects the pieces of encrypted frames; after garbage, and on `clear`, everything collected is dropped. */
export class Reassembler {
  /** @type {Uint8Array} */
  #buffer = new Uint8Array();

  clear() {
    this.#buffer = new Uint8Array();
  }

  /** @param {Uint8Array} piece @returns {Uint8Array[]} the frames that are whole now */
  feed(piece) {
    this.#buffer = join(this.#buffer, piece);
    const frames = [];
    while (this.#buffer.length >= HEADER_SIZE) {
      const size = HEADER_SIZE + readU16(this.#buffer, 28);
      if (size < HEADER_SIZE + TAG_SIZE || size > MAX_FRAME_SIZE) this.clear();
      if (this.#buffer.length < size) break;
      frames.push(this.#buffer.slice(0, size));
      this.#buffer = this.#buffer.slice(size);
    }
    return frames;
  }
}
