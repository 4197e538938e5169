/**
 * The service worker: the page starts from its cache, without a network. After each start it looks, at most once an hour,
 * whether the server has other files; if so all of them change together, for the next start.
 */
"use strict";

/** What the worker's global object is. @type {ServiceWorkerGlobalScope} */
const worker = /** @type {any} */ (self);

const FILES = [
  "./", "first.js", "app.js", "style.css", "manifest.webmanifest", "icons/icon.svg", "icons/icon-180.png", "icons/icon-192.png",
  "icons/icon-512.png", "vendor/nacl-fast.js",
  "bytes.js", "calm.js", "connection.js", "credential.js", "crypto.js", "door.js", "frames.js", "hold.js", "invitation.js", "lock.js",
  "messages.js", "mqtt.js", "packets.js", "patience.js", "problem.js", "redeem.js", "relay.js", "store.js", "texts.js", "ui.js",
  "views/details.js", "views/door.js", "views/doors.js", "views/invitation.js", "views/redeem.js",
];
/** Loaded when they are wanted, which may be at the door, without a network. */
const LATER = ["bluetooth.js", "pairing.js", "texts_bluetooth.js", "views/near.js", "views/pair.js"];
const PREFIX = "page-";
const LOOK_MS = 3600 * 1000;
let lookedAt = 0;

/** The newest cache's name, if there is one. */
const newest = async () => (await caches.keys()).filter((name) => name.startsWith(PREFIX)).sort().at(-1);

/** Fetch every file into a new cache, which replaces the old one once it is whole. */
async function renew(/** @type {string[]} */ files) {
  const before = await newest();
  const old = before ? await caches.open(before) : null;
  const found = await Promise.all(files.map(async (file) => {
    const answer = await fetch(file, { cache: "no-cache", credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
    return answer;
  }));
  const tag = (/** @type {Response | undefined} */ answer) => answer?.headers.get("ETag");
  if (old) {
    const same = await Promise.all(found.map(async (answer, index) => tag(answer) && tag(answer) === tag(await old.match(files[index]))));
    if (same.every(Boolean)) return;
  }
  const name = PREFIX + Date.now();
  const cache = await caches.open(name);
  await Promise.all(found.map((answer, index) => cache.put(files[index], answer)));
  for (const other of await caches.keys()) if (other !== name) await caches.delete(other);
}

/** The files that the cache has now, those of the owner's part among them. */
async function cached() {
  const name = await newest();
  const keys = name ? await (await caches.open(name)).keys() : [];
  return [...new Set([...[...FILES, ...LATER].map((file) => new URL(file, worker.registration.scope).href), ...keys.map((request) => request.url)])];
}

worker.addEventListener("install", (event) => event.waitUntil(renew([...FILES, ...LATER]).then(() => worker.skipWaiting())));
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener("fetch", (event) => {
  const { request } = event, url = new URL(request.url);
  const isFile = url.pathname.endsWith("/") || /\.(js|css|svg|png|webmanifest)$/.test(url.pathname);
  if (request.method !== "GET" || url.origin !== location.origin || !isFile) return;
  event.respondWith(answer(request));
  if (request.mode === "navigate" && Date.now() - lookedAt > LOOK_MS) {
    lookedAt = Date.now();
    event.waitUntil(cached().then(renew).catch(() => (lookedAt = 0)));
  }
});

/** From the cache, else from the network, which fills the cache. */
async function answer(/** @type {Request} */ request) {
  const name = await newest();
  const cache = name ? await caches.open(name) : null;
  const kept = await cache?.match(request, { ignoreSearch: true });
  if (kept) return kept;
  const found = await fetch(request);
  if (cache && found.ok && request.mode !== "navigate") await cache.put(request, found.clone());
  return found;
}
