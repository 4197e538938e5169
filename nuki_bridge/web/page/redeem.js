/**
 * The redeeming of one code. The bridge gives the credential to the first client number that asks, and to that one again
 * for ten minutes should its answer get lost: so the number is stored before it is used.
 */

import { hex, text, utf8 } from "./bytes.js";
import { random } from "./crypto.js";
import { readCredential } from "./credential.js";
import { keyOf, lookup, sealMessage, unsealMessage } from "./invitation.js";
import { Problem, pause } from "./problem.js";

/** How often, and how many times, the bridge is asked while no answer comes. */
const ASK_AGAIN_MS = 5000;
const ASK_TIMES = 6;
/** A refusal in clear, which others could have made up, is believed if no sealed answer comes for so long, in ms. */
const REFUSAL_MS = 500;

/**
 * Ask the bridge for the credential until it answers. Throws `Problem` with the bridge's reason (`expired`, `redeemed`,
 * `revoked`, `unknown`), `no_bridge`, or what keeps the broker away.
 * @param {import("./connection.js").Connection} connection
 * @param {string} code 16 characters @param {string} base the topic below which the bridge listens
 * @param {import("./store.js").Store} store remembers the client number
 */
export async function redeem(connection, code, base, store) {
  const name = lookup(code), key = keyOf(code);
  const client = await store.note(name, () => hex(random(16)));
  const topic = `${base}/invitation/${name}`;
  /** @type {unknown} */
  let failure = new Problem("no_answer");
  for (let time = 0; time < ASK_TIMES; time++) {
    const started = Date.now();
    try {
      return await askOnce(await connection.now(), topic, key, client);
    } catch (error) {
      failure = error;
      if (FINAL.has(/** @type {Problem} */ (error).code)) throw error;
    }
    if (time < ASK_TIMES - 1) await pause(Math.max(500, Math.min(ASK_AGAIN_MS, 1500 * (time + 1)) - (Date.now() - started)));
  }
  throw failure;
}

/** Answers that asking again does not change. */
const FINAL = new Set(["expired", "redeemed", "revoked", "unknown", "bad_credential", "not_allowed", "bad_password"]);

/** @param {import("./mqtt.js").Mqtt} mqtt @param {string} topic @param {Uint8Array} key @param {string} client */
async function askOnce(mqtt, topic, key, client) {
  /** @type {(credential: import("./credential.js").Credential) => void} */
  let resolve = () => {};
  /** @type {(problem: Problem) => void} */
  let reject = () => {};
  /** @type {Promise<import("./credential.js").Credential>} */
  const answer = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  answer.catch(() => {});
  await mqtt.subscribe(`${topic}/response`, ({ payload, retain }) => {
    if (retain) return;
    let content;
    try {
      content = unsealMessage(payload, key);
    } catch {
      const code = refusalIn(payload);
      if (code) setTimeout(() => reject(new Problem(code)), REFUSAL_MS); // noise may come from anybody
      return;
    }
    try {
      const { client: whose, ...told } = JSON.parse(text(content));
      // Whoever else has the code hears this answer, too, and must not take it for theirs.
      if (whose === undefined || whose === client) resolve(readCredential(told));
    } catch {
      reject(new Problem("bad_credential"));
    }
  });
  try {
    const request = utf8(JSON.stringify({ client, time: new Date().toISOString() }));
    await mqtt.publish(`${topic}/redeem`, sealMessage(request, key), { expiry: ASK_AGAIN_MS / 1000 });
    const timeout = pause(ASK_AGAIN_MS).then(() => Promise.reject(new Problem("no_answer")));
    return await Promise.race([answer, mqtt.over, timeout]);
  } finally {
    if (!mqtt.closed) mqtt.unsubscribe(`${topic}/response`).catch(() => {});
  }
}

/** @param {Uint8Array} payload @returns {string | null} the code of an error in clear, if it is one */
export function refusalIn(payload) {
  try {
    const code = JSON.parse(text(payload)).error;
    return typeof code === "string" && /^[a-z0-9_]{1,40}$/.test(code) ? code : null;
  } catch {
    return null;
  }
}
