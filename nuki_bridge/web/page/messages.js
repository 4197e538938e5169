/**
 * The lock's messages that a guest sends and reads, and the numbers in them under the bridge's names. Pure functions.
 */

import { join, readU16, u16, u32 } from "./bytes.js";

/** Command identifiers. */
export const COMMAND = {
  requestData: 0x01,
  challenge: 0x04,
  states: 0x0c,
  lockAction: 0x0d,
  status: 0x0e,
  error: 0x12,
};

/** @typedef {"lock" | "opener"} Kind of a device */

/** Lock actions: the same numbers mean something else to an Opener. @type {Record<Kind, Record<string, number>>} */
export const ACTIONS = {
  lock: { unlock: 1, lock: 2, unlatch: 3, lock_n_go: 4, lock_n_go_unlatch: 5 },
  opener: { activate_rto: 1, deactivate_rto: 2, open: 3, activate_continuous_mode: 4, deactivate_continuous_mode: 5 },
};

/** Bytes of a challenge's nonce. */
export const CHALLENGE_SIZE = 32;

/** @param {string} names a name for each number from `first` on, "-" for none @param {number} [first] */
const numbered = (names, first = 0) =>
  Object.fromEntries(names.split(" ").map((name, index) => [first + index, name]).filter(([, name]) => name !== "-"));

/** @type {Record<number, string>} */
const LOCK_STATES = {
  ...numbered("uncalibrated locked unlocking unlocked locking unlatched unlocked_lock_n_go unlatching"),
  ...numbered("calibrating boot_run motor_blocked undefined", 0xfc),
};

/** @type {Record<number, string>} */
const OPENER_STATES = { ...numbered("uncalibrated locked - rto_active - open - opening"), 0xfd: "boot_run", 0xff: "undefined" };

/** @type {Record<number, string>} */
const DOOR_STATES = {
  ...numbered("unavailable deactivated closed open unknown calibrating"),
  0x10: "uncalibrated",
  0xf0: "tampered",
  0xff: "unknown",
};

/** @type {Record<number, string>} */
const ERRORS = {
  ...numbered("not_pairing bad_authenticator bad_parameter max_user", 0x10),
  ...numbered(
    "not_authorized bad_pin bad_nonce bad_parameter invalid_auth_id disabled remote_not_allowed time_not_allowed " +
      "too_many_pin_attempts too_many_entries code_already_exists code_invalid code_invalid_timeout_1 " +
      "code_invalid_timeout_2 code_invalid_timeout_3",
    0x20,
  ),
  ...numbered(
    "auto_unlock_too_recent position_unknown motor_blocked clutch_failure motor_timeout busy canceled not_calibrated " +
      "motor_position_limit motor_low_voltage motor_power_failure clutch_power_failure voltage_too_low " +
      "firmware_update_needed",
    0x40,
  ),
  ...numbered("bad_crc bad_length unknown", 0xfd),
};

/** @type {Record<number, string>} */
const COMPLETIONS = {
  ...numbered(
    "success motor_blocked canceled too_recent busy low_motor_voltage clutch_failure motor_power_failure incomplete " +
      "rejected rejected_night_mode handle_not_lifted",
  ),
  0xe0: "invalid_code",
  0xe1: "invalid_fingerprint",
  0xfe: "other_error",
};

/** A trigger: a hand at the device, or a ring of the doorbell. */
export const MANUAL = 1;

/** States in which the motor turns. */
export const MOVING = new Set(["unlocking", "locking", "unlatching", "calibrating", "boot_run", "opening"]);

/** @param {Record<number, string>} names @param {number} number */
const nameOf = (names, number) => names[number] ?? `unknown_0x${number.toString(16).padStart(2, "0")}`;

/** @param {number} command what the lock shall send @returns {Uint8Array} payload of Request Data */
export const requestData = (command) => u16(command);

/**
 * Payload of Lock Action.
 * @param {number} action @param {number} appId of the sender @param {Uint8Array} challenge 32 bytes
 */
export const lockAction = (action, appId, challenge) => join([action], u32(appId), [0], challenge);

/**
 * @typedef {object} States what the lock said of itself
 * @property {string} mode `door_mode` in normal operation; `continuous_mode` of an Opener that opens at every ring
 * @property {string} state where the motor is, such as `locked`
 * @property {number} [trigger] what set it in motion, `MANUAL` for a hand or a ring; absent in what an older page has kept
 * @property {string | null} door null if the lock does not tell
 * @property {boolean} critical the battery is nearly empty
 * @property {number | null} level of the battery in percent, null if the lock does not tell
 * @property {number | null} lastAction
 * @property {string | null} completion of the last action
 */

/** @param {Uint8Array} payload of Keyturner or Opener States @param {Kind} [kind] @returns {States} throws `RangeError` */
export function readStates(payload, kind = "lock") {
  if (payload.length < 13) throw new RangeError("keyturner states are longer");
  const has = (/** @type {number} */ at) => payload.length > at;
  return {
    mode: nameOf(numbered("uninitialized pairing_mode door_mode continuous_mode maintenance_mode"), payload[0]),
    state: nameOf(kind === "opener" ? OPENER_STATES : LOCK_STATES, payload[1]),
    trigger: payload[2],
    door: has(18) ? nameOf(DOOR_STATES, payload[18]) : null,
    critical: (payload[12] & 1) === 1,
    level: kind === "lock" && payload[12] >> 2 ? (payload[12] >> 2) * 2 : null, // an Opener tells `critical` alone
    lastAction: has(15) ? payload[15] : null,
    completion: has(17) ? nameOf(COMPLETIONS, payload[17]) : null,
  };
}

/** @param {Uint8Array} payload of Error Report @returns {string} its code in the bridge's words, such as `busy` */
export const readError = (payload) => nameOf(ERRORS, payload[0] ?? 0xff);

/** @param {Uint8Array} payload of Error Report @returns {number} the command that failed; 0 if it is not told */
export const failedCommand = (payload) => (payload.length >= 3 ? readU16(payload, 1) : 0);
