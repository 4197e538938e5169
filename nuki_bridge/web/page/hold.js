/**
 * A button that acts when it is held until its ring is full. A click that no pointer made (keyboard, screen reader) asks
 * a question instead; a short tap explains itself.
 */

import { el, ring } from "./ui.js";

/** A pointer that is down for less is none of a hand: assistive technology makes such ones, in ms. */
const HAND_MS = 20;
/** How far a finger may slide while it holds, in CSS pixels. */
const SLIDE_PX = 40;
/** A ring that was full so much later than it should is none that a finger has held: the page has slept, in ms. */
const SLEPT_MS = 1000;

/**
 * @param {object} options
 * @param {string} options.label @param {string} options.hint said after the label, smaller
 * @param {number} options.ms @param {string} options.class
 * @param {() => void} options.onstart a finger is down: what may be asked ahead
 * @param {() => void} options.onheld the ring is full
 * @param {() => void} options.ontap it was too short
 * @param {() => void} options.onslept the page slept or was hidden meanwhile, so that nothing shall come of it
 * @param {() => void} options.onquestion clicked without a hand
 * @param {Node} [options.symbol]
 */
export function holdButton(options) {
  const button = el("button", { type: "button", class: `hold ${options.class}` }, ring(),
    el("span", { class: "face" }, options.symbol, el("span", { class: "label" }, options.label), el("small", {}, options.hint)));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {{id: number, at: number, x: number, y: number, held: boolean} | null} */
  let pointer = null;
  button.style.setProperty("--hold", `${options.ms}ms`);

  const stop = () => {
    clearTimeout(timer);
    button.classList.remove("holding");
  };
  const drop = () => {
    if (!button.classList.contains("holding")) return;
    stop();
    if (pointer) pointer.held = true; // what is left of this touch is no tap
    options.onslept();
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || button.getAttribute("aria-disabled") === "true" || (pointer && button.classList.contains("holding"))) return;
    pointer = { id: event.pointerId, at: event.timeStamp, x: event.clientX, y: event.clientY, held: false };
    button.setPointerCapture?.(event.pointerId);
    button.classList.add("holding");
    options.onstart();
    const began = Date.now();
    timer = setTimeout(() => {
      if (!pointer) return;
      if (Math.abs(Date.now() - began - options.ms) > SLEPT_MS) return drop();
      pointer.held = true;
      stop();
      navigator.vibrate?.(30);
      options.onheld();
    }, options.ms);
  });
  button.addEventListener("pointermove", (event) => {
    if (pointer && event.pointerId === pointer.id && Math.hypot(event.clientX - pointer.x, event.clientY - pointer.y) > SLIDE_PX) stop();
  });
  button.addEventListener("pointerup", stop);
  button.addEventListener("pointercancel", () => {
    stop();
    pointer = null;
  });
  for (const name of ["visibilitychange", "freeze"]) document.addEventListener(name, drop);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("click", (event) => {
    const last = pointer;
    pointer = null;
    if (button.getAttribute("aria-disabled") === "true" || last?.held) return;
    if (!last || event.detail === 0 || event.timeStamp - last.at < HAND_MS) options.onquestion();
    else options.ontap();
  });
  return button;
}

/**
 * A switch whose "on" opens something: held to switch it on, tapped to switch it off. It is one button, so that the end of
 * a hold is never a tap on another that has come into its place.
 * @param {Omit<Parameters<typeof holdButton>[0], "hint"> & {isOn: () => boolean, onoff: () => void}} options `onheld` switches on
 */
export function holdSwitch(options) {
  let wasOn = false;
  const button = holdButton({
    ...options, hint: "",
    onstart: () => {
      wasOn = options.isOn();
      if (!wasOn) options.onstart();
    },
    onheld: () => (wasOn ? options.onoff() : options.onheld()),
    ontap: () => (wasOn ? options.onoff() : options.ontap()),
    onquestion: () => (options.isOn() ? options.onoff() : options.onquestion()),
  });
  button.setAttribute("role", "switch");
  return button;
}

/** @param {HTMLButtonElement} button of `holdSwitch` @param {boolean} isOn @param {string} hint what it is, and how it is switched */
export function showSwitch(button, isOn, hint) {
  button.setAttribute("aria-checked", String(isOn));
  const small = button.querySelector("small");
  if (small && small.textContent !== hint) small.textContent = hint;
}
