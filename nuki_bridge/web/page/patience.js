/** Whether an action may still be sent: after a while, or when the page has slept meanwhile, nobody expects it any more. */

import { Problem } from "./problem.js";

/** Nothing is sent later than this after it was asked for, in ms. */
const LATE_MS = 15000;
/** The clock is looked at so often, in ms. */
const TICK_MS = 250;
/** Where it has gone on for longer than this between two looks, the page has slept: a phone asleep, a frozen tab; in ms. */
const SLEEP_MS = 2000;

/** Counts from its making until `end`. */
export class Patience {
  #began = Date.now();
  #seen = Date.now();
  #slept = false;
  #timer = setInterval(() => this.#look(), TICK_MS);

  constructor() {
    document.addEventListener("freeze", this.#sleep);
  }

  /** Throws `Problem`: `slept` or `too_late`. */
  check() {
    this.#look();
    if (this.#slept) throw new Problem("slept");
    if (Date.now() - this.#began > LATE_MS) throw new Problem("too_late");
  }

  end() {
    clearInterval(this.#timer);
    document.removeEventListener("freeze", this.#sleep);
  }

  #sleep = () => {
    this.#slept = true;
  };

  #look() {
    const now = Date.now();
    if (Math.abs(now - this.#seen) > SLEEP_MS) this.#slept = true;
    this.#seen = now;
  }
}
