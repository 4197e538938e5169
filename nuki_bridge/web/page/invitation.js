/**
 * An invitation's code, and what guest and bridge derive from it. Pure functions.
 */

import { hex, join, utf8 } from "./bytes.js";
import { NONCE_SIZE, random, seal, sha512, unseal } from "./crypto.js";
import { Problem } from "./problem.js";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/** Characters of a code, without dashes. */
export const CODE_SIZE = 16;
/** @type {Record<string, string>} */
const READ_AS = { O: "0", I: "1", L: "1" };

/**
 * The 16 upper-case characters of a code, or of a link with one, as somebody typed it: case, spaces and dashes do not
 * matter, `O` is 0, `I` and `L` are 1. Throws `Problem("mistyped")`, which never holds the code.
 * @param {string} typed
 */
export function readCode(typed) {
  const link = /^\s*[a-z][a-z0-9+.-]*:.*?[?&#]code=([^&#\s]*)/i.exec(typed);
  const signs = (link ? link[1] : typed).toUpperCase().replace(/[\s\-–—_.]/g, "").replace(/[OIL]/g, (sign) => READ_AS[sign]);
  if (signs.length !== CODE_SIZE || [...signs].some((sign) => !ALPHABET.includes(sign))) throw new Problem("mistyped");
  return signs;
}

/** @param {string} code @returns {string} as people read it: `XXXX-XXXX-XXXX-XXXX` */
export const shown = (code) => code.match(/.{1,4}/g)?.join("-") ?? "";

/** @param {string} code */
const derived = (code) => sha512(utf8(`nuki-bridge/invitation/1:${code}`));

/** Under which the bridge finds the invitation; tells nothing of the code. @param {string} code @returns {string} 32 hex digits */
export const lookup = (code) => hex(derived(code).subarray(0, 16));

/** With which guest and bridge talk. @param {string} code @returns {Uint8Array} 32 bytes */
export const keyOf = (code) => derived(code).slice(-32);

/** @param {Uint8Array} content @param {Uint8Array} key @param {Uint8Array} [nonce] 24 bytes; only tests give one */
export const sealMessage = (content, key, nonce = random(NONCE_SIZE)) => join(nonce, seal(content, nonce, key));

/** Undo `sealMessage`; throws `BadBox`. @param {Uint8Array} data @param {Uint8Array} key */
export const unsealMessage = (data, key) => unseal(data.subarray(NONCE_SIZE), data.subarray(0, NONCE_SIZE), key);
