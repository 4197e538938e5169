/**
 * The cryptography of a guest, from tweetnacl (`vendor/nacl-fast.js`, a script of the page that sets `nacl`).
 *
 * Over plain http a browser has no other cryptography than random numbers, so the page uses none.
 */

/**
 * @typedef {object} Nacl what the page uses of tweetnacl
 * @property {(bytes: Uint8Array) => Uint8Array} hash SHA-512
 * @property {{(message: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array,
 *   open(box: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array | null}} secretbox XSalsa20-Poly1305
 */

/** @returns {Nacl} */
const nacl = () => /** @type {any} */ (globalThis).nacl;

/** Bytes of a nonce in front of a secret box. */
export const NONCE_SIZE = 24;
/** Bytes by which a secret box is longer than its content. */
export const TAG_SIZE = 16;

/** A box that was not made with this key, or was changed on its way. */
export class BadBox extends Error {}

/** @param {number} size @returns {Uint8Array} that many random bytes, good for keys and nonces */
export const random = (size) => crypto.getRandomValues(new Uint8Array(size));

/** @param {Uint8Array} bytes @returns {Uint8Array} 64 bytes */
export const sha512 = (bytes) => nacl().hash(bytes);

/**
 * The document's e1.
 * @param {Uint8Array} content @param {Uint8Array} nonce 24 bytes, never used before with `key`
 * @param {Uint8Array} key 32 bytes
 */
export const seal = (content, nonce, key) => nacl().secretbox(content, nonce, key);

/**
 * Undo `seal`; throws `BadBox`.
 * @param {Uint8Array} box @param {Uint8Array} nonce 24 bytes @param {Uint8Array} key 32 bytes
 */
export function unseal(box, nonce, key) {
  const content = box.length < TAG_SIZE ? null : nacl().secretbox.open(box, nonce, key);
  if (!content) throw new BadBox("a box was not made with this key");
  return content;
}
