/** The owner's broker account: asked for, and kept on the phone only if that is wanted. */

import { baseTopic } from "../connection.js";
import { House } from "./house.js";

/** @typedef {import("../store.js").Store} Store */

/** The owner's house while the page is open. @type {House | null} */
let house = null;

/** The account that is kept. @param {Store} store @returns {Promise<import("./house.js").Account | null>} */
export const kept = (store) => store.account().catch(() => null);

/**
 * The house that is open, or is opened by the account that is kept.
 * @param {Store} store @returns {Promise<House | null>} null if somebody has to log in
 */
export async function open(store) {
  const account = house ? null : await kept(store);
  const base = account ? await baseTopic() : "";
  if (!house && account) {
    house = new House(account, base);
    house.open().catch(() => house?.connection.start());
  }
  return house;
}

/** Log in; throws `Problem`. @param {Store} store @param {import("./house.js").Account} account @param {boolean} keeps */
export async function login(store, account, keeps) {
  const opened = new House(account, await baseTopic());
  await opened.open();
  house?.close();
  house = opened;
  if (keeps) await store.keepAccount(account);
}

/**
 * Log out; the account is forgotten, on the disk too.
 * @param {Store} store @returns {Promise<boolean>} false if the disk is cleared only at the next start (see `Store.forget`)
 */
export async function logout(store) {
  house?.close();
  house = null;
  const isKept = store.isOwners || (await kept(store)) !== null; // another tab may just be clearing the disk, and nothing be there
  return !isKept || store.forgetAccount().catch(() => false);
}

/** The broker has refused the account: it is asked for again. */
export function drop() {
  house?.close();
  house = null;
}
