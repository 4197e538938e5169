/**
 * Every word that the guest's page shows, in English and German. `t` takes one in the language of the browser, or in the
 * one that was chosen. Errors have the key `error.<code>`, states `state.<name>`, and so on.
 */

/** @type {Record<string, [string, string]>} */
const TABLE = {
  "app.title": ["Door", "Tür"],
  "app.language": ["Deutsch", "English"],
  "app.back": ["Back", "Zurück"],
  "app.cancel": ["Cancel", "Abbrechen"],
  "app.close": ["Close", "Schließen"],
  "app.retry": ["Try again", "Noch einmal versuchen"],

  "doors.title": ["Your doors", "Deine Türen"],
  "doors.add": ["Add another door", "Weitere Tür hinzufügen"],

  "redeem.title": ["Enter your code", "Code eingeben"],
  "redeem.intro": [
    "Somebody has invited you to a door? Open the link that you were sent, or enter its code here.",
    "Du bist zu einer Tür eingeladen? Öffne den Link aus der Nachricht oder gib seinen Code hier ein.",
  ],
  "redeem.code": ["Code", "Code"],
  "redeem.hint": ["16 letters and digits", "16 Buchstaben und Ziffern"],
  "redeem.enter": ["Go on", "Weiter"],
  "app.pair": ["Add a lock by Bluetooth", "Schloss über Bluetooth hinzufügen"],
  "app.owner": ["I am the owner", "Ich bin der Besitzer"],
  "invitation.title": ["You are invited", "Du bist eingeladen"],
  "invitation.intro": [
    "You get a key to a door at {host}, on this phone, in this browser. The code works once.",
    "Du bekommst einen Schlüssel zu einer Tür bei {host}, auf diesem Handy, in diesem Browser. Der Code gilt einmal.",
  ],
  "invitation.accept": ["Get the key", "Schlüssel holen"],
  "invitation.busy": ["Getting the key …", "Schlüssel wird geholt …"],
  "invitation.slow": ["The bridge does not answer. It is asked again for half a minute.", "Die Bridge antwortet nicht. Sie wird noch eine halbe Minute lang gefragt."],
  "invitation.other": ["Another code", "Anderer Code"],
  "invitation.got": ["You have the key: {door}", "Du hast den Schlüssel: {door}"],
  "ios.title": ["On an iPhone or iPad: home screen first", "Auf iPhone und iPad: zuerst zum Home-Bildschirm"],
  "ios.text": [
    "Safari forgets keys of pages that are not used for a week. Tap “Share”, then “Add to Home Screen”, open the page from there and enter this code:",
    "Safari vergisst Schlüssel von Seiten nach einer Woche ohne Nutzung. Tippe auf „Teilen“, dann „Zum Home-Bildschirm“, öffne die Seite von dort und gib diesen Code ein:",
  ],
  "ios.copy": ["Copy the code", "Code kopieren"],
  "ios.copied": ["Copied", "Kopiert"],
  "ios.anyway": ["Get the key in Safari anyway", "Schlüssel trotzdem in Safari holen"],

  "state.uncalibrated": ["Not set up", "Nicht eingerichtet"],
  "state.locked": ["Locked", "Verriegelt"],
  "state.unlocking": ["Unlocking …", "Wird aufgesperrt …"],
  "state.unlocked": ["Unlocked", "Aufgesperrt"],
  "state.locking": ["Locking …", "Wird verriegelt …"],
  "state.unlatched": ["Latch pulled", "Falle gezogen"],
  "state.unlocked_lock_n_go": ["Unlocked for a moment", "Kurz aufgesperrt"],
  "state.unlatching": ["Pulling the latch …", "Falle wird gezogen …"],
  "state.calibrating": ["Calibrating …", "Wird kalibriert …"],
  "state.boot_run": ["Starting …", "Startet …"],
  "state.motor_blocked": ["Motor blocked", "Motor blockiert"],
  "state.undefined": ["State not known", "Zustand unbekannt"],
  "state.opener.uncalibrated": ["Intercom not set up", "Sprechanlage nicht eingerichtet"],
  "state.opener.locked": ["Ready", "Bereit"],
  "state.opener.rto_active": ["Ring to open is on", "Ring to Open ist an"],
  "state.opener.open": ["Open", "Offen"],
  "state.opener.opening": ["Opening …", "Öffnet …"],
  "state.opener.continuous_mode": ["Opens at every ring", "Öffnet bei jedem Klingeln"],
  "ring.opened": ["Somebody rang at {time}, and the door was opened to them.", "Um {time} hat es geklingelt, und die Tür wurde geöffnet."],
  "state.none": ["State not read yet", "Zustand noch nicht gelesen"],
  "door.closed": ["Door closed", "Tür zu"],
  "door.open": ["Door open", "Tür offen"],
  "door.unknown": ["Door: not known", "Tür: unbekannt"],
  "door.tampered": ["Door sensor tampered with", "Türsensor manipuliert"],
  "battery.critical": ["The lock's battery is nearly empty: tell the owner", "Batterie des Schlosses fast leer: sag es dem Besitzer"],
  "as-of": ["as of {time}", "Stand {time}"],
  "reading": ["Asking the lock …", "Schloss wird gefragt …"],
  "status.connecting": ["Connecting …", "Verbindet …"],
  "status.offline": ["No connection", "Keine Verbindung"],

  "action.unlock": ["Unlock", "Aufsperren"],
  "action.lock": ["Lock", "Verriegeln"],
  "action.unlatch": ["Open door", "Tür öffnen"],
  "action.open": ["Open door", "Tür öffnen"],
  "action.activate_rto": ["Ring to open on", "Ring to Open an"],
  "action.deactivate_rto": ["Ring to open off", "Ring to Open aus"],
  "switch.rto": ["Ring to open", "Ring to Open"],
  "switch.off": ["off · hold", "aus · halten"],
  "switch.on": ["on · tap", "an · tippen"],
  "hold": ["hold", "halten"],
  "hold.longer": ["hold longer", "länger halten"],
  "hold.hint": ["Keep your finger on “{action}” until the ring is full.", "Finger auf „{action}“ lassen, bis der Ring voll ist."],
  "ask.unlock": ["Unlock {door}?", "{door} aufsperren?"],
  "ask.unlatch": ["Open {door}?", "{door} öffnen?"],
  "ask.open": ["Open {door}?", "{door} öffnen?"],
  "ask.activate_rto": ["Open {door} to whoever rings?", "{door} für jeden öffnen, der klingelt?"],
  "doing.asking": ["Asking the lock …", "Schloss wird gefragt …"],
  "doing.sent": ["Sent to the lock …", "An das Schloss gesendet …"],
  "doing.accepted": ["The lock is turning …", "Das Schloss dreht …"],
  "doing.accepted.opener": ["The Opener has taken it …", "Der Opener hat es angenommen …"],
  "doing.looking": ["No answer. Looking at the lock …", "Keine Antwort. Das Schloss wird gefragt, was los ist …"],
  "unknown.title": ["It is not known what happened", "Es ist nicht sicher, was passiert ist"],
  "unknown.states": [
    "The lock's answer got lost. It may have carried out “{action}”. It now says: {state}. Look at the door before you try again.",
    "Die Antwort des Schlosses ging verloren. Es kann „{action}“ ausgeführt haben. Jetzt meldet es: {state}. Sieh dir die Tür an, bevor du es noch einmal versuchst.",
  ],
  "unknown.nothing": [
    "The lock's answer got lost, and it cannot be asked now. It may have carried out “{action}”. Look at the door before you try again.",
    "Die Antwort des Schlosses ging verloren, und es ist gerade nicht zu fragen. Es kann „{action}“ ausgeführt haben. Sieh dir die Tür an, bevor du es noch einmal versuchst.",
  ],
  "failed.title": ["“{action}” did not work", "„{action}“ hat nicht geklappt"],
  "failed.states": ["The state could not be read", "Der Zustand war nicht zu lesen"],

  "details.title": ["About this door", "Über diese Tür"],
  "details.open": ["Details", "Details"],
  "details.user": ["Your name at the lock", "Dein Name am Schloss"],
  "details.when": ["When you may", "Wann du darfst"],
  "details.where": ["From where", "Von wo"],
  "details.remote": ["From anywhere, and at the door", "Von überall und an der Tür"],
  "details.near": ["Only at the door, by Bluetooth", "Nur an der Tür, über Bluetooth"],
  "details.battery": ["Battery", "Batterie"],
  "details.critical": ["nearly empty", "fast leer"],
  "details.forget": ["Forget this door", "Diese Tür vergessen"],
  "details.install": ["Add to the home screen", "Zum Startbildschirm hinzufügen"],
  "access.always": ["Always", "Immer"],
  "access.from": ["From {time}", "Ab {time}"],
  "access.until": ["Until {time}", "Bis {time}"],
  "access.hours": ["{from} to {until} (time at the door)", "{from} bis {until} Uhr (Zeit an der Tür)"],
  "access.sentence": ["By your invitation you may open it {when}.", "Laut Einladung darfst du öffnen: {when}."],
  "access.over": ["Your time here ended: {until}.", "Deine Zeit hier ist abgelaufen: {until}."],
  "access.days": ["{from} to {to}", "{from} bis {to}"],
  "access.at": ["{from} to {until}", "{from} bis {until} Uhr"],
  "access.note": ["As it was when you were invited. The owner may have changed it.", "So war es bei der Einladung. Der Besitzer kann es geändert haben."],
  "forget.ask": ["Forget {door}?", "{door} vergessen?"],
  "forget.text": [
    "The key is removed from this phone for good. To get in again you need a new invitation.",
    "Der Schlüssel wird endgültig von diesem Handy entfernt. Für einen neuen brauchst du eine neue Einladung.",
  ],
  "forget.yes": ["Forget", "Vergessen"],
  "forget.done": ["{door} is forgotten.", "{door} ist vergessen."],
  "forget.later": [
    "{door} is forgotten. Traces on the disk are cleared when this page is next opened with a connection.",
    "{door} ist vergessen. Spuren auf dem Speicher werden gelöscht, sobald die Seite wieder mit Verbindung geöffnet wird.",
  ],

  "error.mistyped": [
    "This code is mistyped. Codes have 16 digits and letters, without I, L, O and U.",
    "Dieser Code ist vertippt. Codes haben 16 Ziffern und Buchstaben, ohne I, L, O und U.",
  ],
  "error.expired": ["This invitation has expired. Ask for a new one.", "Diese Einladung ist abgelaufen. Bitte um eine neue."],
  "error.redeemed": [
    "This code has been used already, on another device or more than 10 minutes ago. If that was not you, tell the owner at once.",
    "Dieser Code wurde schon benutzt, auf einem anderen Gerät oder vor mehr als 10 Minuten. Wenn du das nicht warst, sag es sofort dem Besitzer.",
  ],
  "error.revoked": ["The owner has taken this invitation back.", "Der Besitzer hat diese Einladung zurückgenommen."],
  "error.unknown": [
    "The bridge does not know this code: it is mistyped, or ended more than a week ago.",
    "Die Bridge kennt diesen Code nicht: Er ist vertippt oder seit über einer Woche abgelaufen.",
  ],
  "error.no_answer": ["The bridge did not answer. Try again, the code is still good.", "Die Bridge hat nicht geantwortet. Versuch es noch einmal, der Code gilt weiter."],
  "error.bad_credential": ["The bridge sent a key that this page cannot use. Tell the owner.", "Die Bridge hat einen Schlüssel geschickt, den diese Seite nicht versteht. Sag es dem Besitzer."],
  "error.no_storage": [
    "This browser keeps nothing, so the key would be lost. Leave private mode, or use another browser.",
    "Dieser Browser speichert nichts, der Schlüssel ginge verloren. Verlass den privaten Modus oder nimm einen anderen Browser.",
  ],
  "error.no_bridge": ["The bridge is not running. Tell the owner.", "Die Bridge läuft nicht. Sag es dem Besitzer."],
  "error.offline": ["No connection to the bridge's network.", "Keine Verbindung zum Netz der Bridge."],
  "error.broker_unavailable": ["The server is there, but its message broker is not. Tell the owner.", "Der Server ist da, aber sein Nachrichtendienst nicht. Sag es dem Besitzer."],
  "error.bad_password": ["The server's guest account is not accepted. Tell the owner.", "Das Gästekonto des Servers wird nicht angenommen. Sag es dem Besitzer."],
  "error.no_account": ["The server has no account for guests. Tell the owner.", "Der Server hat kein Konto für Gäste. Sag es dem Besitzer."],
  "error.too_many_logins": ["Too many wrong logins from here. Try again in a few minutes.", "Zu viele falsche Anmeldungen von hier. Versuch es in ein paar Minuten noch einmal."],
  "error.not_allowed": ["The server does not allow this. Tell the owner.", "Der Server erlaubt das nicht. Sag es dem Besitzer."],
  "error.not_authorized": [
    "Your key is not valid any more: the owner has removed it, or the lock was reset.",
    "Dein Schlüssel gilt nicht mehr: Der Besitzer hat ihn entfernt, oder das Schloss wurde zurückgesetzt.",
  ],
  "error.disabled": ["The owner has switched your key off.", "Der Besitzer hat deinen Schlüssel abgeschaltet."],
  "error.remote_not_allowed": [
    "Your key works only near the door, by Bluetooth.",
    "Dein Schlüssel geht nur nahe der Tür, über Bluetooth.",
  ],
  "error.time_not_allowed": ["Not on this day, or not at this hour.", "Nicht an diesem Tag oder nicht um diese Zeit."],
  "error.challenge_expired": ["Nothing was sent to the lock, because the bridge began anew just then. Try again.", "Es wurde nichts ans Schloss gesendet, weil die Bridge gerade neu begann. Versuch es noch einmal."],
  "error.pending": ["The bridge still takes this invitation for open. Enter the code again.", "Für die Bridge ist diese Einladung noch offen. Gib den Code noch einmal ein."],
  "error.pin_required": ["The bridge does not know the lock's PIN and lets no guest in. Tell the owner.", "Die Bridge kennt die PIN des Schlosses nicht und lässt keine Gäste ein. Sag es dem Besitzer."],
  "error.bad_pin": ["The bridge has a wrong PIN of the lock and lets no guest in. Tell the owner.", "Die Bridge hat eine falsche PIN des Schlosses und lässt keine Gäste ein. Sag es dem Besitzer."],
  "error.unknown_lock": ["The bridge has no lock of this name any more. Tell the owner.", "Die Bridge hat kein Schloss dieses Namens mehr. Sag es dem Besitzer."],
  "error.not_paired": ["The bridge has lost this lock. Tell the owner.", "Die Bridge hat dieses Schloss verloren. Sag es dem Besitzer."],
  "error.too_many_requests": ["Too many messages come with your key, perhaps not from you. Try again in a moment.", "Zu viele Nachrichten mit deinem Schlüssel, vielleicht nicht von dir. Versuch es gleich noch einmal."],
  "error.motor_blocked": ["The lock tried and met resistance. Look at the door.", "Das Schloss hat es versucht und ist auf Widerstand gestoßen. Sieh dir die Tür an."],
  "error.busy": ["The lock is busy with another action. Try again when it stands still.", "Das Schloss ist gerade beschäftigt. Versuch es noch einmal, wenn es stillsteht."],
  "error.canceled": ["Stopped at the lock.", "Am Schloss abgebrochen."],
  "error.position_unknown": ["The lock is not sure where it stands and does not unlock from afar.", "Das Schloss weiß nicht sicher, wo es steht, und sperrt aus der Ferne nicht auf."],
  "error.not_calibrated": ["The lock is not calibrated. Tell the owner.", "Das Schloss ist nicht kalibriert. Sag es dem Besitzer."],
  "error.motor_low_voltage": ["The lock's battery is too weak. Tell the owner.", "Die Batterie des Schlosses ist zu schwach. Sag es dem Besitzer."],
  "error.bad_nonce": ["The lock took this for an old message and did nothing. Try again.", "Das Schloss hielt das für eine alte Nachricht und tat nichts. Versuch es noch einmal."],
  "error.too_late": ["It took too long, so nothing was sent to the lock. Try again.", "Es hat zu lange gedauert, darum wurde nichts ans Schloss gesendet. Versuch es noch einmal."],
  "error.slept": ["The page was asleep meanwhile, so nothing was sent to the lock. Try again.", "Die Seite hat inzwischen geschlafen, darum wurde nichts ans Schloss gesendet. Versuch es noch einmal."],
  "error.timeout": ["The lock cannot be reached; nothing was sent to it.", "Das Schloss ist nicht zu erreichen; es wurde nichts gesendet."],
  "error.timeout_here": ["The lock did not answer. Nothing was asked of it but its state.", "Das Schloss hat nicht geantwortet. Es wurde nur nach seinem Zustand gefragt."],
  "error.disconnected": ["The link to the lock was lost.", "Die Verbindung zum Schloss ging verloren."],
  "error.link_over": ["The link to the lock ended; nothing was sent to it. Try again.", "Die Verbindung zum Schloss endete; es wurde nichts gesendet. Versuch es noch einmal."],
  "error.outcome_unknown": ["The lock has not answered.", "Das Schloss hat nicht geantwortet."],
  "error.stopped": ["The bridge was stopped; nothing was sent to the lock.", "Die Bridge wurde beendet; es wurde nichts ans Schloss gesendet."],
  "error.not_found": ["The bridge does not find the lock just now.", "Die Bridge findet das Schloss gerade nicht."],
  "error.failed": ["That did not work.", "Das hat nicht geklappt."],
  "error.other": ["That did not work ({code}).", "Das hat nicht geklappt ({code})."],
};

/** The table, for tests and for the owner's part, which adds its own lines. */
export const table = TABLE;

/** @returns {"en" | "de"} */
function chosen() {
  const kept = globalThis.localStorage?.getItem("language");
  if (kept === "de" || kept === "en") return kept;
  const first = (globalThis.navigator?.languages ?? []).find((each) => /^(de|en)\b/i.test(each));
  return first?.toLowerCase().startsWith("de") ? "de" : "en";
}

/** The language that the page speaks. */
export let language = chosen();

/** @param {"en" | "de"} code */
export function speak(code) {
  language = code;
  localStorage.setItem("language", code);
}

/** Whether there are words for a key. @param {string} key */
export const has = (key) => key in TABLE;

/**
 * The words for a key, with `{name}` replaced. A key without words shows itself, so that nothing is ever empty.
 * @param {string} key @param {Record<string, string>} [values]
 */
export function t(key, values = {}) {
  const found = TABLE[key]?.[language === "de" ? 1 : 0] ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** @param {string} code @returns {string} what an error means, in words for a guest */
export const errorText = (code) => (has(`error.${code}`) ? t(`error.${code}`) : t("error.other", { code: code.replaceAll("_", " ") }));

/** @param {string} state of a lock */
export const stateText = (state) => (has(`state.${state}`) ? t(`state.${state}`) : state.replaceAll("_", " "));

/** What a device says of itself. @param {{state: string, mode: string}} states @param {import("./messages.js").Kind} kind */
export function statesText({ state, mode }, kind) {
  if (kind === "lock") return stateText(state);
  const key = mode === "continuous_mode" && ["locked", "rto_active"].includes(state) ? mode : state;
  return has(`state.opener.${key}`) ? t(`state.opener.${key}`) : stateText(state);
}

/** When something was, short if it was today. @param {number} ms */
export function timeText(ms) {
  const when = new Date(ms), today = when.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(language, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" }).format(when);
}

const WEEKDAYS = ["mo", "tu", "we", "th", "fr", "sa", "su"];

/** @param {string} day `mo` to `su` @param {"short" | "long"} [weekday] */
export function weekdayText(day, weekday = "short") {
  const index = WEEKDAYS.indexOf(day);
  if (index < 0) return day;
  return new Intl.DateTimeFormat(language, { weekday, timeZone: "UTC" }).format(new Date(Date.UTC(2024, 0, 1 + index)));
}

/** When a user may, a line each. @param {import("./credential.js").Access | null | undefined} access @returns {string[]} */
export function accessText(access) {
  const lines = [];
  const when = (/** @type {string} */ time) => timeText(Date.parse(time));
  if (access?.from && Date.parse(access.from) > Date.now()) lines.push(t("access.from", { time: when(access.from) }));
  if (access?.until) lines.push(t("access.until", { time: when(access.until) }));
  if (access?.weekdays?.length && access.weekdays.length < 7) lines.push(access.weekdays.map((day) => weekdayText(day)).join(", "));
  if (access?.time_from || access?.time_until) {
    lines.push(t("access.hours", { from: access.time_from ?? "00:00", until: access.time_until ?? "24:00" }));
  }
  return lines.length ? lines : [t("access.always")];
}

/** Weekdays in words, three and more in a row as from one to another. @param {string[]} days in the order of the week */
function daysText(days) {
  /** @type {string[][]} */
  const rows = [];
  for (const day of days) {
    const row = rows.at(-1);
    if (row && WEEKDAYS.indexOf(day) === WEEKDAYS.indexOf(row[row.length - 1]) + 1) row.push(day);
    else rows.push([day]);
  }
  const long = (/** @type {string} */ day) => weekdayText(day, "long");
  const words = rows.flatMap((row) => (row.length > 2 ? [t("access.days", { from: long(row[0]), to: long(row[row.length - 1]) })] : row.map(long)));
  return new Intl.ListFormat(language).format(words);
}

/**
 * When a user may, in one sentence; empty if at any time.
 * @param {import("./credential.js").Access | null | undefined} access @param {number} [now] in ms @returns {string}
 */
export function accessSentence(access, now = Date.now()) {
  const { from, until, weekdays, time_from, time_until } = access ?? {}, parts = [];
  const when = (/** @type {string} */ key, /** @type {string} */ time) => t(key, { time: timeText(Date.parse(time)) }).replace(/^./, (first) => first.toLowerCase());
  if (until && Date.parse(until) <= now) return t("access.over", { until: timeText(Date.parse(until)) });
  if (weekdays?.length && weekdays.length < 7) parts.push(daysText(weekdays));
  if (time_from || time_until) parts.push(t("access.at", { from: time_from ?? "00:00", until: time_until ?? "24:00" }));
  if (from && Date.parse(from) > now) parts.push(when("access.from", from));
  if (until) parts.push(when("access.until", until));
  return parts.length ? t("access.sentence", { when: parts.join(", ") }) : "";
}
