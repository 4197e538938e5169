/**
 * Bytes as text and numbers: hexadecimal, UTF-8, little-endian integers. No state, no I/O.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8");

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} its UTF-8 */
export const utf8 = (text) => encoder.encode(text);

/** @param {Uint8Array} bytes UTF-8; broken sequences become U+FFFD */
export const text = (bytes) => decoder.decode(bytes);

/** @param {Uint8Array} bytes @returns {string} lower-case hexadecimal digits, two a byte */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {string} digits two a byte; throws `RangeError` for anything else */
export function unhex(digits) {
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new RangeError("not hexadecimal");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** @param {...ArrayLike<number>} parts @returns {Uint8Array<ArrayBuffer>} all of them, one after the other */
export function join(...parts) {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** @param {number} value @returns {Uint8Array} 2 bytes, little-endian */
export const u16 = (value) => Uint8Array.of(value & 255, (value >> 8) & 255);

/** @param {number} value @returns {Uint8Array} 4 bytes, little-endian */
export const u32 = (value) => join(u16(value), u16(value >>> 16));

/** @param {Uint8Array} bytes @param {number} at @returns {number} the 2 bytes there, little-endian */
export const readU16 = (bytes, at) => bytes[at] | (bytes[at + 1] << 8);

/** @param {Uint8Array} bytes @param {number} at @returns {number} the 4 bytes there, little-endian */
export const readU32 = (bytes, at) => (readU16(bytes, at) | (readU16(bytes, at + 2) << 16)) >>> 0;
