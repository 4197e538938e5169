/** What can go wrong, with a code that `texts.js` has words for. */

export class Problem extends Error {
  /**
   * @param {string} code such as `time_not_allowed`; the bridge's and the lock's own codes among them
   * @param {string} [detail] for developers; never shown, never a secret
   */
  constructor(code, detail) {
    super(detail ?? code);
    this.code = code;
  }
}

/**
 * The link had ended before anything was given to it: nothing has left this phone. Only this page says so of itself; a word
 * that comes over the network is never more than a `Problem` with some code.
 */
export class LinkOver extends Problem {
  constructor() {
    super("link_over");
  }
}

/** @param {unknown} error @returns {string} its code; `failed` for what is none of ours */
export const codeOf = (error) => (error instanceof Problem ? error.code : "failed");

/**
 * The answer of `promise`, or a `Problem` if it takes too long.
 * @template T @param {Promise<T>} promise @param {number} ms @param {string} [code] @returns {Promise<T>}
 */
export function within(promise, ms, code = "timeout") {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Problem(code)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** @param {number} ms @returns {Promise<void>} */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
