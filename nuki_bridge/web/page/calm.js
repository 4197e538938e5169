/**
 * What a hand is on is not replaced: its click would be lost, or go to what has come into its place. Views draw anew by way
 * of this: put off while a pointer or a key is down on a control, and done right after its click.
 */

/** A button that is held is never replaced, and tells while it is held how it goes. */
const CONTROLS = "button:not(.hold), summary, label, input, select, a";
/** One touch puts nothing off for longer, in ms: a finger may stay, and its end may be told to nobody. */
const LONGEST_MS = 1500;
/** A finger that has gone has clicked so soon, or does not click, in ms. */
const CLICK_MS = 500;

/** While a hand is on a control. @type {Promise<void> | null} */
let touching = null;
let endTouch = () => {};
/** @type {ReturnType<typeof setTimeout> | undefined} */
let touchTimer;

/** @param {number} ms */
const endIn = (ms) => {
  if (!touching) return;
  clearTimeout(touchTimer);
  touchTimer = setTimeout(endTouch, ms);
};

/** @param {Event} event */
const touched = ({ target }) => {
  if (!(/** @type {Element} */ (target).closest?.(CONTROLS))) return;
  touching ??= new Promise((resolve) => {
    endTouch = () => {
      touching = null;
      resolve();
    };
  });
  endIn(LONGEST_MS);
};

/** When no hand is on a control: at once, or in a moment. @returns {Promise<void>} */
export const calmed = async () => {
  while (touching) await touching;
};

/** `draw` that waits for the same; what is asked for meanwhile is drawn once. @param {() => void} draw @returns {() => void} */
export function calm(draw) {
  let waits = false;
  return () => {
    if (!touching) draw();
    else if (!waits) {
      waits = true;
      calmed().then(() => {
        waits = false;
        draw();
      });
    }
  };
}

/** @type {[string, (event: any) => unknown][]} */
const TOUCHES = [
  ["pointerdown", touched], ["keydown", (event) => !event.repeat && ["Enter", " "].includes(event.key) && touched(event)],
  ["pointerup", () => endIn(CLICK_MS)], ["keyup", () => endIn(CLICK_MS)],
  ["click", () => endIn(0)], ["pointercancel", () => endIn(0)], // later: whatever a click does, for a label or a form, comes first
];
for (const [name, work] of TOUCHES) globalThis.document?.addEventListener(name, work, true);
