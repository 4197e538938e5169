/**
 * What this phone keeps, in IndexedDB: its doors with their credentials, and notes: the client numbers of open redemptions,
 * and an owner's account if that is wanted.
 *
 * Emptying a database leaves its bytes on the disk. Only the answer to `POST forget`, which clears the whole origin by
 * its header `Clear-Site-Data`, removes them, so what shall stay is written again after it. Nothing secret goes into
 * localStorage: Chromium keeps that in one file for all pages, which no header clears.
 *
 * Another tab, or the page on the home screen, may keep or forget something meanwhile. So each tells the others what it
 * does, which leaves nothing on the disk, and whichever clears goes by that. A lock of the browser's would not do: what is
 * cleared takes it along, and a tab that is opened later gets another one of the same name.
 */

import { idOf } from "./credential.js";
import { Problem, pause } from "./problem.js";

const NAME = "nuki-bridge";
const VERSION = 1;
/** A client number is kept so long if it got no credential, in ms: the bridge remembers the invitation a day less. */
const NOTE_KEPT_MS = 8 * 24 * 3600 * 1000;
/** The server has so long to show that it can be reached, in ms: a network may swallow all that is sent, and the page waits. */
const REACH_MS = 3000;
/** After it has written all again a tab waits so long for what others had to tell, in ms. */
const SETTLE_MS = 200;
/** The name of the note that holds an owner's account. */
const OWNER = "owner";

/**
 * @typedef {object} DoorRecord
 * @property {string} id
 * @property {import("./credential.js").Credential} credential
 * @property {import("./messages.js").States | null} states the last that were read
 * @property {number} at when, in ms
 */

/** @typedef {"doors" | "notes"} Name of a store in the database */
/** @typedef {{name: Name, key: string, record: any, again?: boolean}} Told what a tab keeps, or keeps again after the disk was cleared; `record` is null if it is forgotten */

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** The disk is to be cleared, from now on; what was cleared before is not enough. */
const mark = () => localStorage.setItem("sweep", String(Math.random()));

/** Whether the server answers. */
async function isReachable() {
  const giveUp = new AbortController(), timer = setTimeout(() => giveUp.abort(), REACH_MS);
  const answer = await fetch("settings.json", { cache: "no-store", signal: giveUp.signal }).catch(() => null);
  clearTimeout(timer);
  return answer !== null;
}

export class Store {
  /** @type {IDBDatabase | null} */
  #database = null;
  /** Whether an owner's account is kept, as far as it was looked for. */
  isOwners = false;
  /** Another tab has forgotten this door. @type {(id: string) => void} */
  onforgotten = () => {};
  /** Another tab has forgotten the owner's account. */
  onlogout = () => {};
  /** The other tabs. @type {BroadcastChannel | null} */
  #others = null;
  /** What was forgotten here or there since this page is open. @type {Set<string>} */
  #forgotten = new Set();
  /** While the disk is cleared: what is still to be written again, or to be removed. @type {Map<string, Told> | null} */
  #due = null;
  /** @type {Promise<unknown>} */
  #swept = Promise.resolve();

  /** Throws `Problem("no_storage")`, also later when the browser keeps nothing. */
  async open() {
    if (this.#database) return this.#database;
    if (!this.#others && globalThis.BroadcastChannel) {
      this.#others = new BroadcastChannel(NAME);
      this.#others.onmessage = ({ data }) => {
        this.#hear(data);
        if (data.record) return;
        if (data.name === "doors") this.onforgotten(data.key);
        else if (data.key === OWNER && this.isOwners) {
          this.isOwners = false;
          this.onlogout();
        }
      };
    }
    try {
      const request = indexedDB.open(NAME, VERSION);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("doors", { keyPath: "id" });
        request.result.createObjectStore("notes", { keyPath: "name" });
      };
      const database = await done(request);
      database.onclose = () => (this.#database = null);
      database.onversionchange = () => this.close();
      this.#database = database;
      return database;
    } catch (error) {
      throw new Problem("no_storage", String(error));
    }
  }

  close() {
    this.#database?.close();
    this.#database = null;
  }

  /**
   * @template T @param {Name} name @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => IDBRequest<T>} work @param {boolean} [again] @returns {Promise<T>} when it is durable
   */
  async #with(name, mode, work, again = true) {
    try {
      const transaction = (await this.open()).transaction(name, mode, { durability: "strict" });
      const complete = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      complete.catch(() => {}); // a request that fails is told of before it
      const result = await done(work(transaction.objectStore(name)));
      await complete;
      return result;
    } catch (error) {
      this.close();
      if (again) return this.#with(name, mode, work, false); // another tab may have had the database cleared
      throw error instanceof Problem ? error : new Problem("no_storage", String(error));
    }
  }

  /** Keep a record. @param {Name} name @param {string} key @param {object} record @param {boolean} [again] */
  async #put(name, key, record, again) {
    await this.#with(name, "readwrite", (store) => store.put(record));
    this.#tell({ name, key, record, again });
  }

  /** @param {Told} told */
  #tell(told) {
    if (!told.again) this.#hear(told);
    this.#others?.postMessage(told);
  }

  /** @param {Told} told */
  #hear(told) {
    const id = told.name + told.key;
    if (told.again && (this.#forgotten.has(id) || this.#due?.has(id))) return; // what is known here is newer
    if (told.record) this.#forgotten.delete(id);
    else this.#forgotten.add(id);
    this.#due?.set(id, told);
  }

  /** @returns {Promise<DoorRecord[]>} in the order of their IDs */
  async doors() {
    return (await this.#with("doors", "readonly", (store) => store.getAll())).filter((door) => door.credential);
  }

  /** Keep a door; one that is there already is replaced. @param {import("./credential.js").Credential} credential */
  async add(credential) {
    /** @type {DoorRecord} */
    const record = { id: idOf(credential), credential, states: null, at: 0 };
    await this.#put("doors", record.id, record);
    navigator.storage?.persist?.().catch(() => {}); // never awaited: in Firefox it may never answer
    return record;
  }

  /** Remember what a lock said of itself, if the door is still kept. @param {string} id @param {import("./messages.js").States} states @param {number} at */
  async remember(id, states, at) {
    await this.#with("doors", "readwrite", (store) => {
      const found = store.get(id);
      found.addEventListener("success", () => found.result?.credential && store.put({ ...found.result, states, at }));
      return found;
    });
  }

  /**
   * The client number of a redemption, made when there is none yet.
   * @param {string} name the invitation's lookup @param {() => string} make @returns {Promise<string>}
   */
  async note(name, make) {
    const found = await this.#with("notes", "readonly", (store) => store.get(name));
    if (found) return found.client;
    for (const old of await this.#with("notes", "readonly", (store) => store.getAll())) {
      if (Date.now() - old.at > NOTE_KEPT_MS) await this.endNote(old.name);
    }
    const note = { name, client: make(), at: Date.now() };
    await this.#put("notes", name, note);
    return note.client;
  }

  /** The credential is stored, or the invitation is over. @param {string} name */
  async endNote(name) {
    this.#tell({ name: "notes", key: name, record: null });
    await this.#with("notes", "readwrite", (store) => store.delete(name));
  }

  /** The owner's account, if it is kept. @returns {Promise<import("./owner/house.js").Account | null>} */
  async account() {
    const old = localStorage.getItem(OWNER);
    if (old) await this.keepAccount(JSON.parse(old)); // where an earlier version had it
    const account = (await this.#with("notes", "readonly", (store) => store.get(OWNER)))?.account ?? null;
    this.isOwners = account !== null;
    return account;
  }

  /** @param {import("./owner/house.js").Account} account */
  async keepAccount(account) {
    await this.#put("notes", OWNER, { name: OWNER, account, at: Infinity });
    localStorage.removeItem(OWNER);
    this.isOwners = true;
  }

  /** Forget the owner's account as a door is forgotten. */
  forgetAccount() {
    this.isOwners = false;
    return this.#forget("notes", OWNER, { name: OWNER, at: 0 });
  }

  /**
   * Forget a door, so that nothing of its key is left on the disk.
   * @param {string} id @returns {Promise<boolean>} false if the server could not be asked to have the disk cleared; the
   *   key is gone from the database then, and `sweep` does the rest
   */
  forget(id) {
    return this.#forget("doors", id, { id, credential: null });
  }

  /** @param {Name} name @param {string} key @param {object} empty */
  async #forget(name, key, empty) {
    mark(); // at first: a page that ends in the midst does the rest when it starts again
    this.#tell({ name, key, record: null }); // before another tab writes it again
    await this.#remove(name, key, empty);
    mark(); // another tab may have had the first one cleared
    return this.sweep();
  }

  /** @param {Name} name @param {string} key @param {object} empty */
  async #remove(name, key, empty) {
    await this.#with(name, "readwrite", (store) => store.put(empty)); // its bytes, where it lies
    await this.#with(name, "readwrite", (store) => store.delete(key));
  }

  /** Do what a `forget` without a network has left undone. @returns {Promise<boolean>} nothing is left undone */
  sweep() {
    const swept = this.#swept.then(() => this.#sweep());
    this.#swept = swept.catch(() => {}).finally(() => (this.#due = null));
    return swept;
  }

  /** @returns {Promise<boolean>} */
  async #sweep() {
    const marked = localStorage.getItem("sweep");
    if (!marked) return true;
    this.#due = new Map();
    const language = localStorage.getItem("language");
    for (const record of await this.doors()) this.#hear({ name: "doors", key: record.id, record, again: true });
    for (const record of await this.#with("notes", "readonly", (store) => store.getAll())) {
      this.#hear({ name: "notes", key: record.name, record, again: true });
    }
    this.close();
    // Not given up once it is asked for: a browser that is still clearing would take what is written again.
    const answer = (await isReachable()) ? await fetch("forget", { method: "POST", cache: "no-store" }).catch(() => null) : null;
    this.close(); // another door may have opened it meanwhile: the browser has ended that connection
    // Written again whatever came of it: the browser may have cleared the origin although the answer got lost.
    const isUndone = await this.#writeAgain(this.#due);
    if (language) localStorage.setItem("language", language);
    const now = localStorage.getItem("sweep");
    if (!answer?.ok) localStorage.setItem("sweep", now ?? marked);
    else if (isUndone) {
      mark();
      return this.#sweep();
    } else if (now === marked) localStorage.removeItem("sweep"); // any other is that of a tab that does the rest
    return answer?.ok === true;
  }

  /** @param {Map<string, Told | null>} due @returns {Promise<boolean>} the disk has bytes of what was forgotten meanwhile */
  async #writeAgain(due) {
    const written = new Set();
    for (let isUndone = false, isSettled = false; ; ) {
      const next = [...due.values()].find(Boolean);
      if (!next && isSettled) return isUndone;
      isSettled = !next;
      if (!next) {
        await pause(SETTLE_MS);
        continue;
      }
      const { name, key, record } = next, id = name + key;
      due.set(id, null);
      if (record) {
        written.add(id);
        await this.#put(name, key, record, true);
      } else {
        await this.#with(name, "readwrite", (store) => store.delete(key));
        isUndone ||= written.has(id);
      }
    }
  }
}
