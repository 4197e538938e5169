/** The doors of this phone, with what each lock said last. */

import { calm } from "../calm.js";
import { statesText, t, timeText } from "../texts.js";
import { el, head, symbol, symbolOf } from "../ui.js";

/** @param {import("../app.js").Page} page @returns {import("../app.js").Shown} */
export function doorsView(page) {
  const list = el("ul", { class: "doors" });
  const draw = () => list.replaceChildren(...[...page.doors.values()].map((door) => el("li", {},
    el("button", { type: "button", class: "card", onclick: () => page.go({ view: "door", id: door.id }) },
      symbol(symbolOf(door.states, door.kind)),
      el("span", { class: "grow" }, el("strong", {}, door.name),
        el("span", { class: "dim" }, door.states ? `${statesText(door.states, door.kind)}, ${t("as-of", { time: timeText(door.at) })}` : t("state.none")))))));
  const read = () => {
    if (!document.hidden && page.connection.status === "online") for (const door of page.doors.values()) if (door.credential.remote) door.refresh();
  };
  const redraw = calm(draw);
  draw();
  for (const door of page.doors.values()) door.addEventListener("change", redraw);
  page.connection.addEventListener("status", read);
  read();
  return {
    node: el("div", { class: "view" }, head(t("doors.title"), null), list,
      el("button", { type: "button", class: "plain wide", onclick: () => page.go({ view: "redeem" }) }, symbol("add"), t("doors.add"))),
    end() {
      for (const door of page.doors.values()) door.removeEventListener("change", redraw);
      page.connection.removeEventListener("status", read);
    },
  };
}
