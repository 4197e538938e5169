/**
 * Making this phone a user of a lock: the handshake on the lock's pairing characteristic, and the assembling of its frames.
 * No I/O: whole frames in, the next frame out. It aborts on the first thing that does not fit, and what it made is worthless then.
 */

import { join, readU16, readU32, u32, utf8 } from "./bytes.js";
import { NONCE_SIZE, TAG_SIZE, random, unseal } from "./crypto.js";
import { BadFrame, HEADER_SIZE, PLAIN_ERROR_SIZE, crc, encryptedFrame, openPlain, plainFrame } from "./frames.js";
import { COMMAND, readError, requestData } from "./messages.js";
import { Problem } from "./problem.js";

/** Command identifiers of pairing. */
const PAIRING = { publicKey: 0x03, challenge: 0x04, authenticator: 0x05, data: 0x06, authorizationId: 0x07, confirmation: 0x1e, info: 0x4c };
/** In the header of a lock's or client's encrypted frame while there is no authorization yet. */
const NO_AUTHORIZATION = 0x7fffffff;
/** Bytes of the name under which the lock keeps a user. */
const NAME_SIZE = 32;
const KEY_SIZE = 32;
/** A client that is a person's app. */
const ID_TYPE_APP = 0;
/** Whole plain frames, in bytes, by their command: they carry no length. @type {Record<number, number>} */
const PLAIN_SIZES = { 0x03: 36, 0x04: 36, 0x07: 88, 0x0e: 5, 0x12: PLAIN_ERROR_SIZE, 0x4c: 5 };

/** @returns {{box: {before: (theirs: Uint8Array, mine: Uint8Array) => Uint8Array}, scalarMult: ((mine: Uint8Array, theirs: Uint8Array) => Uint8Array) & {base: (mine: Uint8Array) => Uint8Array}}} */
const nacl = () => /** @type {any} */ (globalThis).nacl;

/** Where the server has tweetnacl with its curve, of which a guest who does not pair is sent nothing. */
const WHOLE = "./vendor/nacl-whole.js";

/** Have all at hand that the handshake needs. */
export async function ready() {
  if (!nacl().scalarMult) await import(WHOLE);
}

/** HMAC-SHA256. @param {Uint8Array} key @param {...ArrayLike<number>} parts @returns {Promise<Uint8Array>} 32 bytes */
export async function hmac(key, ...parts) {
  const imported = await crypto.subtle.importKey("raw", key.slice(), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, join(...parts)));
}

/**
 * The long-term key that both sides compute; throws `BadFrame` for a public key with which it would be known to all.
 * @param {Uint8Array} secret @param {Uint8Array} peer @returns {Uint8Array} 32 bytes
 */
export function agree(secret, peer) {
  if (peer.length !== KEY_SIZE || nacl().scalarMult(secret, peer).every((byte) => byte === 0)) throw new BadFrame("a weak public key");
  return nacl().box.before(peer, secret);
}

/** Compare in a time that tells nothing. @param {Uint8Array} left @param {Uint8Array} right */
export const same = (left, right) => left.length === right.length && left.reduce((all, byte, at) => all | (byte ^ right[at]), 0) === 0;

/** A name as the lock takes it: 32 bytes of UTF-8, no character cut in two. @param {string} name */
export function nameBytes(name) {
  const all = new Uint8Array(NAME_SIZE);
  let at = 0;
  for (const character of name) {
    const bytes = utf8(character);
    if (at + bytes.length > NAME_SIZE) break;
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}

/** Collects the pieces of the pairing characteristic into whole frames; after garbage everything collected is dropped. */
export class PairingFrames {
  /** @type {Uint8Array} */
  #buffer = new Uint8Array();
  /** The next frame comes encrypted, or is a plain Error Report. */
  encrypted = false;

  /** @param {Uint8Array} piece @returns {Uint8Array[]} the frames that are whole now */
  feed(piece) {
    this.#buffer = join(this.#buffer, piece);
    const frames = [];
    for (let size = this.#size(); size && this.#buffer.length >= size; size = this.#size()) {
      frames.push(this.#buffer.slice(0, size));
      this.#buffer = this.#buffer.slice(size);
    }
    return frames;
  }

  /** Bytes of the frame in front; 0 if that cannot be told yet. */
  #size() {
    const begun = this.#buffer, length = begun.length;
    if (length < 2) return 0;
    if (!this.encrypted) {
      const size = PLAIN_SIZES[readU16(begun, 0)] ?? 0;
      if (!size) this.#buffer = new Uint8Array();
      return size;
    }
    const isError = length >= PLAIN_ERROR_SIZE && readU16(begun, 0) === COMMAND.error && crc(begun.subarray(0, 5)) === readU16(begun, 5);
    if (isError) return PLAIN_ERROR_SIZE;
    if (length < HEADER_SIZE) return 0;
    const size = HEADER_SIZE + readU16(begun, 28);
    if (size > HEADER_SIZE + TAG_SIZE && size < 256) return size;
    this.#buffer = new Uint8Array();
    return 0;
  }
}

/**
 * @typedef {object} Authorization what pairing yields
 * @property {number} authorizationId
 * @property {Uint8Array} key 32 bytes, secret
 * @property {Uint8Array} uuid names the lock, 16 bytes
 */

/** One attempt: `start` gives the first frame, `receive` each further one, `result` the authorization. */
export class Pairing {
  /** @type {"publicKey" | "challenge" | "proof" | "authorizationId" | "authorizationIdUltra" | "complete" | "done"} */
  #step = "publicKey";
  #lockPublic = new Uint8Array();
  #key = new Uint8Array();
  #nonceAbf = new Uint8Array();
  /** @type {Authorization | null} */
  result = null;

  /**
   * @param {{name: string, appId: number, pin: string | null}} who `pin` is asked for by the Ultra family only
   * @param {(size: number) => Uint8Array} [draw] only tests give one
   */
  constructor(who, draw = random) {
    this.who = who;
    this.draw = draw;
    this.secret = draw(KEY_SIZE);
    this.public = nacl().scalarMult.base(this.secret);
  }

  /** The next frame comes encrypted. */
  get expectsEncrypted() {
    return this.#step === "authorizationIdUltra";
  }

  /** @returns {Uint8Array} the first frame: ask for the lock's public key */
  start() {
    return plainFrame(COMMAND.requestData, requestData(PAIRING.publicKey));
  }

  /**
   * Take a whole frame.
   * @param {Uint8Array} frame @returns {Promise<Uint8Array | null>} what to write next, null when pairing is over; throws
   *   `Problem` with the lock's refusal, `pin_required` or `wrong_pin_length`, and `BadFrame` or `BadBox` for what does not fit
   */
  async receive(frame) {
    const isEncrypted = this.expectsEncrypted && frame.length !== PLAIN_ERROR_SIZE;
    const { command, payload } = isEncrypted ? openReply(frame, this.#key) : openPlain(frame);
    if (command === COMMAND.error) throw new Problem(readError(payload));
    const step = `${this.#step} ${command}`;
    switch (step) {
      case `publicKey ${PAIRING.publicKey}`:
        return this.#agree(payload);
      case `challenge ${PAIRING.challenge}`:
        this.#step = "proof";
        return plainFrame(PAIRING.authenticator, await hmac(this.#key, this.public, this.#lockPublic, payload));
      case `proof ${PAIRING.challenge}`:
        return this.#introduce(payload);
      case `proof ${PAIRING.info}`:
        return this.#introduceUltra(payload);
      case `authorizationId ${PAIRING.authorizationId}`:
        return this.#confirm(payload);
      case `authorizationIdUltra ${PAIRING.authorizationId}`:
        if (payload.length < 20) throw new BadFrame("an authorization is longer");
        this.#step = "done";
        this.result = { authorizationId: readU32(payload, 0), key: this.#key, uuid: payload.slice(4, 20) };
        return null;
      case `complete ${COMMAND.status}`:
        this.#step = "done";
        return null;
      default:
        throw new BadFrame(`command ${command} has no place at step ${this.#step} of pairing`);
    }
  }

  /** @param {Uint8Array} theirs */
  #agree(theirs) {
    this.#lockPublic = theirs.slice();
    this.#key = agree(this.secret, theirs).slice();
    this.#step = "challenge";
    return plainFrame(PAIRING.publicKey, this.public);
  }

  /** The classic family. @param {Uint8Array} nonce */
  async #introduce(nonce) {
    this.#nonceAbf = this.draw(32).slice();
    const data = join([ID_TYPE_APP], u32(this.who.appId), nameBytes(this.who.name), this.#nonceAbf);
    this.#step = "authorizationId";
    return plainFrame(PAIRING.data, join(await hmac(this.#key, data, nonce), data));
  }

  /** The Ultra family, whose answer to the proof tells which family it is. @param {Uint8Array} info whether a PIN is set */
  #introduceUltra(info) {
    const { pin } = this.who;
    if (!pin) throw new Problem(info[0] === 0 ? "pin_not_set" : "pin_required");
    if (!/^\d{6}$/.test(pin)) throw new Problem("wrong_pin_length");
    this.#step = "authorizationIdUltra";
    const data = join(u32(this.who.appId), nameBytes(this.who.name), u32(Number(pin)));
    return encryptedFrame(NO_AUTHORIZATION, PAIRING.data, data, this.#key, this.draw(24));
  }

  /** @param {Uint8Array} payload authenticator, authorization ID, UUID, nonce */
  async #confirm(payload) {
    if (payload.length < 84) throw new BadFrame("an authorization is longer");
    const [proof, id, uuid, nonce] = [[0, 32], [32, 36], [36, 52], [52, 84]].map(([from, to]) => payload.slice(from, to));
    if (!same(proof, await hmac(this.#key, id, uuid, nonce, this.#nonceAbf))) {
      throw new BadFrame("the lock's proof is wrong: somebody may stand between phone and lock");
    }
    this.result = { authorizationId: readU32(id, 0), key: this.#key, uuid };
    this.#step = "complete";
    return plainFrame(PAIRING.confirmation, join(await hmac(this.#key, id, nonce), id));
  }
}

/**
 * The Ultra family's last answer. Whatever authorization ID it carries in front of its command, and whether it carries one
 * at all, differs between documents and devices.
 * @param {Uint8Array} frame @param {Uint8Array} key
 */
function openReply(frame, key) {
  const content = unseal(frame.subarray(HEADER_SIZE), frame.subarray(0, NONCE_SIZE), key);
  if (content.length < 8) throw new BadFrame("an encrypted frame holds too little");
  const body = content.subarray(0, -2), sum = readU16(content, content.length - 2);
  if (sum !== 0 && sum !== crc(body)) throw new BadFrame("an encrypted frame has a wrong CRC");
  const isBare = body.length === 22 && readU16(body, 0) === PAIRING.authorizationId && readU16(body, 4) !== PAIRING.authorizationId;
  const at = isBare ? 0 : 4;
  return { command: readU16(body, at), payload: body.slice(at + 2) };
}
