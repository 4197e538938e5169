/**
 * A credential: what makes this phone a user of a lock. Whoever has it opens the door, so it is stored and shown nowhere
 * but in `store.js`.
 */

import { Problem } from "./problem.js";

/**
 * @typedef {object} Access when the owner lets the user in; absent parts are unlimited
 * @property {string} [from] RFC 3339
 * @property {string} [until] RFC 3339
 * @property {string[]} [weekdays] `mo` to `su`
 * @property {string} [time_from] `HH:MM` of the lock's local time
 * @property {string} [time_until]
 */

/**
 * @typedef {object} Credential as the bridge makes it
 * @property {1} version
 * @property {{name: string, nuki_id: string, address: string, type: string}} lock
 * @property {number} authorization_id
 * @property {string} shared_key 64 hex digits
 * @property {string} user
 * @property {boolean} remote
 * @property {string} base_topic
 * @property {Access | null} [access]
 * @property {string} [title] the lock's name for people, if this phone has made itself a user
 */

/** @param {unknown} data what was read as JSON @returns {Credential} throws `Problem("bad_credential")` without quoting any of it */
export function readCredential(data) {
  const found = /** @type {any} */ (data);
  const sound =
    found?.version === 1 &&
    /^[a-z0-9_-]{1,32}$/.test(found.lock?.name) &&
    /^[0-9A-F]{8}$/i.test(found.lock?.nuki_id) &&
    Number.isInteger(found.authorization_id) && found.authorization_id >= 0 && found.authorization_id < 2 ** 32 &&
    /^[0-9a-f]{64}$/i.test(found.shared_key) &&
    typeof found.base_topic === "string" && /^[^+#\0]+$/.test(found.base_topic);
  if (!sound) throw new Problem("bad_credential");
  return { ...found, user: String(found.user ?? ""), remote: found.remote !== false };
}

/** @param {Credential} credential @returns {import("./messages.js").Kind} what kind of device it is for */
export const kindOf = (credential) => (credential.lock.type === "opener" ? "opener" : "lock");

/** One key of the store for each authorization. @param {Credential} credential */
export const idOf = (credential) => `${credential.lock.nuki_id.toUpperCase()}-${credential.authorization_id}`;

/** A lock's name for people: "Front door" for `front_door`. @param {Credential} credential */
export function doorName(credential) {
  if (credential.title) return credential.title;
  const words = credential.lock.name.replace(/[_-]+/g, " ").trim();
  return words ? words[0].toUpperCase() + words.slice(1) : credential.lock.name;
}
