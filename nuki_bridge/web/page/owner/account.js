/** The owner's broker account: asked for, and kept on the phone only if that is wanted. */

import { baseTopic } from "../connection.js";
import { House } from "./house.js";

const NAME = "owner";

/** The owner's house while the page is open. @type {House | null} */
let house = null;

/** The account that is kept. @returns {import("./house.js").Account | null} */
export function kept() {
  try {
    return JSON.parse(localStorage.getItem(NAME) ?? "null");
  } catch {
    return null;
  }
}

/** The house that is open, or is opened by the account that is kept. @returns {Promise<House | null>} null if somebody has to log in */
export async function open() {
  const account = kept();
  if (!house && account) {
    house = new House(account, await baseTopic());
    house.open().catch(() => house?.connection.start());
  }
  return house;
}

/** Log in; throws `Problem`. @param {import("./house.js").Account} account @param {boolean} keeps */
export async function login(account, keeps) {
  const opened = new House(account, await baseTopic());
  await opened.open();
  house?.close();
  house = opened;
  if (keeps) localStorage.setItem(NAME, JSON.stringify(account));
}

/** Log out; the account is forgotten, on the disk too. @param {import("../store.js").Store} store */
export async function logout(store) {
  house?.close();
  house = null;
  if (localStorage.getItem(NAME) === null) return;
  localStorage.removeItem(NAME);
  localStorage.setItem("sweep", "1");
  await store.sweep().catch(() => false);
}

/** The broker has refused the account: it is asked for again. */
export function drop() {
  house?.close();
  house = null;
}
