/**
 * A lock in reach of this phone, by Web Bluetooth: chosen once per page load, connected to for each piece of work, and let
 * go a moment later, because others cannot reach a lock that is held.
 *
 * `BluetoothLink` is one kind of `Link`; the relay through the bridge is the other.
 */

import { join } from "./bytes.js";
import { PLAIN_ERROR_SIZE, Reassembler, openPlain } from "./frames.js";
import { COMMAND } from "./messages.js";
import { LinkOver, Problem, pause, within } from "./problem.js";

const uuid = (/** @type {string} */ head) => `${head}-5501-11e4-916c-0800200c9a66`;
/** The service of commands, and its two characteristics: for what is not encrypted, and for what is; by the kind of device. */
const COMMANDS = {
  lock: { service: uuid("a92ee200"), plain: uuid("a92ee201"), sealed: uuid("a92ee202") },
  opener: { service: uuid("a92ae200"), plain: uuid("a92ae201"), sealed: uuid("a92ae202") },
};
/** The pairing service and its characteristic, of the newer family of locks first; the last is an Opener's. */
const PAIRING = [[uuid("a92ee300"), uuid("a92ee301")], [uuid("a92ee100"), uuid("a92ee101")], [uuid("a92ae100"), uuid("a92ae101")]];

/** The first attempts to connect often fail: so many, each so long at most and with such a pause before the next, in ms. */
const CONNECT_TIMES = 5;
const CONNECT_MS = 6000;
const CONNECT_PAUSE_MS = 300;
/** A lock takes its first command so long after it was subscribed to, in ms. */
const SETTLE_MS = 100;
/** The lock is let go so long after the last exchange, in ms. */
const REST_MS = 3000;
/** An Opener is connected to anew so long after it was let go, in ms: at once the browser may go on with the old connection. */
const APART_MS = 1000;
/** A frame whose next piece does not come for so long stays unfinished, in ms. */
const PIECE_MS = 1000;

/** What the page uses of Web Bluetooth, whose types TypeScript does not know. @typedef {any} BluetoothDevice */

/**
 * Why this browser cannot speak to a lock.
 * @returns {"" | "insecure" | "ios" | "unsupported"} empty if it can
 */
export function obstacle() {
  if (!globalThis.isSecureContext) return "insecure";
  if ("bluetooth" in navigator) return "";
  const isApple = /iPhone|iPad|iPod/.test(navigator.userAgent) || (/Mac/.test(navigator.platform) && navigator.maxTouchPoints > 1);
  return isApple ? "ios" : "unsupported";
}

/** @param {unknown} error what the browser threw @param {string} code @returns {Problem} */
const problemOf = (error, code) => (error instanceof Problem ? error : new Problem(code, String(error)));

/** A lock that was chosen from the browser's list. */
export class Near {
  /** When the last connection was let go, in ms. */
  left = 0;

  /** @param {BluetoothDevice} device */
  constructor(device) {
    this.device = device;
    this.name = String(device.name ?? "");
  }

  /**
   * Let the person choose a lock; to be called from a touch. Throws `Problem`: `not_chosen`, `bluetooth_off`, or
   * `wrong_lock` if it is another than `nukiId`.
   * @param {string} [nukiId]
   */
  static async choose(nukiId) {
    const { bluetooth } = /** @type {any} */ (navigator);
    if (obstacle()) throw new Problem("no_bluetooth");
    let device;
    try {
      device = await bluetooth.requestDevice({
        filters: [{ namePrefix: "Nuki_" }],
        optionalServices: [COMMANDS.lock.service, COMMANDS.opener.service, ...PAIRING.map(([service]) => service)],
      });
    } catch (error) {
      const isOn = await bluetooth.getAvailability?.().catch(() => true);
      throw new Problem(isOn === false ? "bluetooth_off" : /** @type {any} */ (error).name === "SecurityError" ? "no_bluetooth" : "not_chosen", String(error));
    }
    const near = new Near(device);
    if (nukiId && near.nukiId && near.nukiId !== nukiId.toUpperCase()) throw new Problem("wrong_lock");
    return near;
  }

  /** The Nuki ID that its name ends with: 8 hex digits; empty if it does not. */
  get nukiId() {
    return /_([0-9A-F]{8})$/i.exec(this.name)?.[1].toUpperCase() ?? "";
  }

  /** Connect, again if the first attempts fail. Throws `Problem("not_reached")`. */
  async connect() {
    /** @type {unknown} */
    let failure;
    for (let time = 0; time < CONNECT_TIMES; time++) {
      if (time) await pause(CONNECT_PAUSE_MS);
      try {
        return await within(this.device.gatt.connect(), CONNECT_MS, "not_reached");
      } catch (error) {
        failure = error;
        this.device.gatt.disconnect(); // ends an attempt that still runs
      }
    }
    throw problemOf(failure, "not_reached");
  }

  /** To use a key; not yet connected. @param {import("./messages.js").Kind} kind */
  link(kind) {
    return new BluetoothLink(this, kind);
  }

  /** Connect to make this phone a user. @returns {Promise<{link: PairingLink, isUltra: boolean, kind: import("./messages.js").Kind}>} */
  async pairingLink() {
    const link = new PairingLink(this);
    return { link, ...(await link.open()) };
  }
}

/** What both kinds of link have in common: one connection, which ends once. */
class Connected {
  /** @type {Map<string, any>} */
  #characteristics = new Map();
  #open = false;
  #ended = false;
  /** @type {(problem: Problem) => void} */
  #fail = () => {};
  /** @type {Promise<never>} rejects when the connection has ended */
  over = new Promise((_, reject) => (this.#fail = reject));

  /** @param {Near} near */
  constructor(near) {
    this.near = near;
    this.over.catch(() => {});
  }

  /** @param {() => Promise<void>} subscribe */
  async begin(subscribe) {
    try {
      await this.near.connect();
      this.near.device.addEventListener("gattserverdisconnected", this.#lost);
      await within(subscribe(), CONNECT_MS, "not_reached");
      await pause(SETTLE_MS);
      if (this.#ended) throw new Problem("not_reached");
      this.#open = true;
    } catch (error) {
      this.close();
      throw problemOf(error, "not_reached");
    }
  }

  /** @param {string} service @param {string} name @param {(piece: Uint8Array) => void} take @returns {Promise<void>} throws what the browser throws */
  async subscribe(service, name, take) {
    const characteristic = await (await this.near.device.gatt.getPrimaryService(service)).getCharacteristic(name);
    characteristic.addEventListener("characteristicvaluechanged", (/** @type {any} */ event) => {
      const { value } = event.target;
      if (!this.#ended && value) take(new Uint8Array(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength)));
    });
    await characteristic.startNotifications();
    this.#characteristics.set(name, characteristic);
  }

  alive() {
    return this.#open && !this.#ended;
  }

  /**
   * Throws `LinkOver` if nothing has left this phone, `Problem("disconnected")` if that is not known.
   * @param {string} name of the characteristic @param {Uint8Array} frame
   */
  async send(name, frame) {
    if (this.#ended || !this.near.device.gatt.connected) throw new LinkOver();
    try {
      await Promise.race([this.#characteristics.get(name).writeValueWithResponse(frame), this.over]);
    } catch (error) {
      throw problemOf(error, "disconnected");
    }
  }

  close() {
    if (this.#ended) return;
    this.#end();
    this.near.left = Date.now();
    this.near.device.gatt.disconnect();
  }

  #lost = () => this.#ended || this.#end();

  #end() {
    this.#ended = true;
    this.near.device.removeEventListener("gattserverdisconnected", this.#lost);
    this.#fail(new Problem("disconnected"));
  }
}

/** @typedef {import("./relay.js").Link} Link */

/** @implements {Link} */
export class BluetoothLink extends Connected {
  #reassembler = new Reassembler();
  #heard = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {(frame: Uint8Array) => void} */
  onframe = () => {};
  /** @type {(code: string) => void} */
  onrefusal = () => {};
  onnews = () => {};

  /** @param {Near} near @param {import("./messages.js").Kind} kind */
  constructor(near, kind) {
    super(near);
    this.commands = COMMANDS[kind];
    this.isLock = kind === "lock";
  }

  /** Throws `Problem`. */
  async open() {
    const { service, plain, sealed } = this.commands;
    const apart = this.near.left + APART_MS - Date.now();
    if (!this.isLock && apart > 0) await pause(Math.min(apart, APART_MS));
    await this.begin(async () => {
      await this.subscribe(service, sealed, (piece) => this.#take(piece));
      // A lock that does not know the key says so here, unencrypted.
      await this.subscribe(service, plain, (piece) => this.onframe(piece)).catch((error) => {
        if (this.isLock || error.name !== "NotFoundError") throw error; // not every Opener is known to have it
      });
    });
    this.rest();
    return this;
  }

  /** @param {Uint8Array} frame */
  async write(frame) {
    await this.send(this.commands.sealed, frame);
  }

  /** An exchange begins: keep the connection. */
  work() {
    clearTimeout(this.#timer);
  }

  /** An exchange has ended: let the lock go unless another one follows. */
  rest() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close(), REST_MS);
  }

  close() {
    clearTimeout(this.#timer);
    super.close();
  }

  /** @param {Uint8Array} piece */
  #take(piece) {
    const now = Date.now();
    if (now - this.#heard > PIECE_MS) this.#reassembler.clear();
    this.#heard = now;
    if (isErrorReport(piece)) this.onframe(piece);
    else for (const frame of this.#reassembler.feed(piece)) this.onframe(frame);
  }
}

/** @param {Uint8Array} piece */
function isErrorReport(piece) {
  try {
    return piece.length === PLAIN_ERROR_SIZE && openPlain(piece).command === COMMAND.error;
  } catch {
    return false;
  }
}

/** The characteristic on which a lock takes new users. */
export class PairingLink extends Connected {
  #name = "";
  /** @type {(piece: Uint8Array) => void} */
  onpiece = () => {};

  /** @returns {Promise<{isUltra: boolean, kind: import("./messages.js").Kind}>} whether it is of the newer family, which asks for a PIN */
  async open() {
    await this.begin(async () => {
      for (const [service, name] of PAIRING) {
        try {
          await this.subscribe(service, name, (piece) => this.onpiece(piece));
          this.#name = name;
          return;
        } catch (error) {
          if (/** @type {any} */ (error).name !== "NotFoundError") throw error;
        }
      }
      throw new Problem("no_pairing_service");
    });
    return { isUltra: this.#name === PAIRING[0][1], kind: this.#name === PAIRING[2][1] ? "opener" : "lock" };
  }

  /** @param {Uint8Array} frame */
  async write(frame) {
    await this.send(this.#name, join(frame));
  }
}
