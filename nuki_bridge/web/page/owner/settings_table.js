/** The lock's settings: by which kind of field each is asked for, in groups. A test holds the names to the bridge's. */

/**
 * @typedef {object} Setting
 * @property {"flag" | "number" | "word" | "time" | "text"} kind
 * @property {string[]} [words] @property {number} [low] @property {number} [high] @property {string} [unit] @property {number} [step]
 */

/** @type {Setting} */
const FLAG = { kind: "flag" };
/** @type {Setting} */
const TIME = { kind: "time" };
/** @param {number} low @param {number} high @param {string} unit @returns {Setting} */
const number = (low, high, unit) => ({ kind: "number", low, high, unit });
/** @param {...string} words @returns {Setting} */
const word = (...words) => ({ kind: "word", words });

const FOB = word("none", "unlock", "lock", "lock_n_go", "intelligent");
const BUTTON = word("none", "intelligent", "unlock", "lock", "unlatch", "lock_n_go", "show_status");

/** Names of timezones that a lock knows. */
export const TIMEZONES = [
  "Africa/Cairo", "Africa/Lagos", "Africa/Maputo", "Africa/Nairobi", "America/Anchorage", "America/Argentina/Buenos_Aires",
  "America/Chicago", "America/Denver", "America/Halifax", "America/Los_Angeles", "America/Manaus", "America/Mexico_City",
  "America/New_York", "America/Phoenix", "America/Regina", "America/Santiago", "America/Sao_Paulo", "America/St_Johns", "Asia/Bangkok",
  "Asia/Dubai", "Asia/Hong_Kong", "Asia/Jerusalem", "Asia/Karachi", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Riyadh", "Asia/Seoul",
  "Asia/Shanghai", "Asia/Tehran", "Asia/Tokyo", "Asia/Yangon", "Australia/Adelaide", "Australia/Brisbane", "Australia/Darwin",
  "Australia/Hobart", "Australia/Perth", "Australia/Sydney", "Europe/Berlin", "Europe/Helsinki", "Europe/Istanbul", "Europe/London",
  "Europe/Moscow", "Pacific/Auckland", "Pacific/Guam", "Pacific/Honolulu", "Pacific/Pago_Pago",
];

/** Groups in the order in which they are shown, each with its settings. @type {Record<string, Record<string, Setting>>} */
export const GROUPS = {
  pairing: { pairing_enabled: FLAG },
  turning: {
    auto_unlatch: FLAG, single_lock: FLAG, lock_n_go_timeout: number(5, 60, "s"), unlatch_duration: number(1, 30, "s"), motor_speed: word("standard", "insane", "gentle"),
    detached_cylinder: FLAG,
  },
  autolock: { auto_lock_enabled: FLAG, auto_lock_timeout: number(0, 1800, "s"), immediate_auto_lock: FLAG, auto_unlock_disabled: FLAG },
  night: {
    night_mode_enabled: FLAG, night_mode_start: TIME, night_mode_end: TIME, night_mode_auto_lock: FLAG, night_mode_auto_unlock_disabled: FLAG,
    night_mode_immediate_lock_on_start: FLAG, slow_speed_in_night_mode: FLAG,
  },
  buttons: {
    button_enabled: FLAG, single_button_press_action: BUTTON, double_button_press_action: BUTTON, fob_action_1: FOB, fob_action_2: FOB, fob_action_3: FOB,
    led_enabled: FLAG, led_brightness: number(0, 5, ""),
  },
  power: {
    battery_type: word("alkaline", "accumulator", "lithium"), automatic_battery_type_detection: FLAG, advertising_mode: word("automatic", "normal", "slow", "slowest"), auto_update: FLAG,
  },
  place: {
    name: { kind: "text" }, timezone: { kind: "word", words: ["none", ...TIMEZONES] }, timezone_offset_min: number(-720, 840, "min"), dst_mode: word("off", "european"),
    latitude: { kind: "number", low: -90, high: 90, unit: "°", step: 0.00001 }, longitude: { kind: "number", low: -180, high: 180, unit: "°", step: 0.00001 },
  },
  positions: {
    unlocked_position_offset: number(-90, 180, "°"), locked_position_offset: number(-180, 90, "°"), single_locked_position_offset: number(-180, 180, "°"),
    unlocked_to_locked_transition_offset: number(-180, 180, "°"),
  },
};

const OPENER_BUTTON = word("none", "toggle_rto", "activate_rto", "deactivate_rto", "toggle_continuous_mode", "activate_continuous_mode", "deactivate_continuous_mode", "open");
const OPENER_FOB = word("none", "toggle_rto", "activate_rto", "deactivate_rto", "open", "ring");
const SOUND = number(0, 3, "");

/** Those of an Opener. @type {Record<string, Record<string, Setting>>} */
export const OPENER_GROUPS = {
  pairing: GROUPS.pairing,
  ringing: {
    rto_timeout: number(5, 60, "min"), disable_rto_after_ring: FLAG,
    doorbell_suppression: word("off", "continuous_mode", "rto", "continuous_mode_and_rto", "ring", "continuous_mode_and_ring", "rto_and_ring", "always"),
    doorbell_suppression_duration: number(500, 10000, "ms"),
  },
  strike: { electric_strike_duration: number(1000, 30000, "ms"), electric_strike_delay: number(0, 30000, "ms"), random_electric_strike_delay: FLAG },
  sounds: { sound_level: number(0, 255, ""), sound_ring: SOUND, sound_open: SOUND, sound_rto: SOUND, sound_cm: SOUND, sound_confirmation: FLAG },
  buttons: {
    button_enabled: FLAG, single_button_press_action: OPENER_BUTTON, double_button_press_action: OPENER_BUTTON, fob_action_1: OPENER_FOB, fob_action_2: OPENER_FOB,
    fob_action_3: OPENER_FOB, led_enabled: FLAG,
  },
  power: { ...GROUPS.power, battery_type: word("alkaline", "accumulator", "lithium", "no_warnings") },
  place: GROUPS.place,
};
