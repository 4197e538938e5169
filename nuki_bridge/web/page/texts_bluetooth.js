/** The words of Bluetooth without the bridge, in English and German; they join the one table when they are wanted. */

import { table } from "./texts.js";

/** @type {Record<string, [string, string]>} */
export const TABLE = {
  "near.choose": ["At the door: by Bluetooth", "An der Tür: über Bluetooth"],
  "near.choose.hint": [
    "Your phone speaks to the lock itself, without the bridge. Choose the lock in the list that comes.",
    "Dein Handy spricht selbst mit dem Schloss, ohne die Bridge. Wähle das Schloss in der Liste, die gleich kommt.",
  ],
  "near.used": ["By Bluetooth, straight to the lock.", "Über Bluetooth, direkt mit dem Schloss."],
  "near.again": ["Ask the lock again", "Schloss noch einmal fragen"],
  "near.bridge": ["Through the bridge again", "Wieder über die Bridge"],
  "near.busy": ["Looking for the lock …", "Schloss wird gesucht …"],
  "near.none": ["Bluetooth does not work here", "Bluetooth geht hier nicht"],
  "near.insecure": [
    "Browsers let a page use Bluetooth only over a secure connection (https). Ask the owner for the page's https address.",
    "Browser lassen eine Seite nur über eine sichere Verbindung (https) an Bluetooth. Frag den Besitzer nach der https-Adresse dieser Seite.",
  ],
  "near.ios": [
    "No browser on iPhone and iPad lets a page use Bluetooth.",
    "Auf iPhone und iPad lässt kein Browser eine Seite an Bluetooth.",
  ],
  "near.unsupported": [
    "This browser lets no page use Bluetooth. Chrome and Edge can, on Android, Windows, Mac and Chromebook; Firefox and Safari cannot.",
    "Dieser Browser lässt keine Seite an Bluetooth. Chrome und Edge können es, auf Android, Windows, Mac und Chromebook; Firefox und Safari nicht.",
  ],
  "near.instead.bridge": ["Your key also works through the bridge, wherever you are online.", "Dein Schlüssel geht auch über die Bridge, wo immer du online bist."],
  "near.instead.none": [
    "What works: open the invitation in such a browser, or ask the owner for a key that works through the bridge, or for a keypad code.",
    "Was geht: die Einladung in so einem Browser öffnen, oder den Besitzer um einen Schlüssel bitten, der über die Bridge geht, oder um einen Code fürs Keypad.",
  ],
  "near.instead.pair": [
    "What works: open this page in such a browser, or let the bridge add the lock and invite this phone to it.",
    "Was geht: diese Seite in so einem Browser öffnen, oder die Bridge das Schloss hinzufügen lassen und dieses Handy dazu einladen.",
  ],

  "pair.title": ["Add a lock", "Schloss hinzufügen"],
  "pair.intro": [
    "By Bluetooth this phone becomes a user of the lock, without bridge or account. Its key works only near the door, in this browser.",
    "Über Bluetooth wird dieses Handy Benutzer des Schlosses, ohne Bridge und Konto. Sein Schlüssel geht nur nahe der Tür, in diesem Browser.",
  ],
  "pair.press.1": ["Stand in front of the lock.", "Stell dich vor das Schloss."],
  "pair.press.2": [
    "Hold its button for about 5 seconds, until the ring of light stays on.",
    "Halte seinen Knopf etwa 5 Sekunden gedrückt, bis der Leuchtring an bleibt.",
  ],
  "pair.press.3": ["Tap “Add” and choose the lock in the list that comes.", "Tippe auf „Hinzufügen“ und wähle das Schloss in der Liste, die gleich kommt."],
  "pair.door": ["Name of the door", "Name der Tür"],
  "pair.door.example": ["Front door", "Haustür"],
  "pair.user": ["Your name, for the lock's list of users", "Dein Name, für die Benutzerliste des Schlosses"],
  "pair.pin": ["PIN of the lock, 6 digits", "PIN des Schlosses, 6 Ziffern"],
  "pair.pin.hint": ["It is set in the maker's app, under “Security PIN”. It is not kept.", "Sie wird in der App des Herstellers gesetzt („Sicherheits-PIN“). Sie wird nicht gespeichert."],
  "pair.add": ["Add", "Hinzufügen"],
  "pair.step.connecting": ["Connecting to the lock …", "Verbindet mit dem Schloss …"],
  "pair.step.pairing": ["The lock is adding this phone …", "Das Schloss nimmt dieses Handy auf …"],
  "pair.step.proving": ["Trying the key …", "Der Schlüssel wird ausprobiert …"],
  "pair.done": ["This phone opens {door} now, near the door.", "Dieses Handy öffnet jetzt {door}, nahe der Tür."],
  "pair.unproven": [
    "The lock has added this phone, but then did not answer. Choose it below and see whether it does.",
    "Das Schloss hat dieses Handy aufgenommen, danach aber nicht geantwortet. Wähle es unten aus und sieh nach, ob es antwortet.",
  ],
  "pair.failed": ["The lock was not added", "Das Schloss wurde nicht hinzugefügt"],
  "pair.no-name": ["Give the door a name.", "Gib der Tür einen Namen."],

  "pair.error.pin_required": ["This lock asks for its PIN. Enter it and tap “Add” again.", "Dieses Schloss will seine PIN. Gib sie ein und tippe noch einmal auf „Hinzufügen“."],
  "pair.error.wrong_pin_length": ["The PIN of this lock has 6 digits.", "Die PIN dieses Schlosses hat 6 Ziffern."],
  "pair.error.pin_not_set": ["This lock has no PIN yet. Set one in the maker's app first.", "Dieses Schloss hat noch keine PIN. Setze sie erst in der App des Herstellers."],
  "pair.error.bad_pin": ["The PIN is wrong. After several wrong ones the lock takes none for a while.", "Die PIN ist falsch. Nach mehreren falschen nimmt das Schloss eine Weile keine mehr an."],
  "pair.error.too_many_pin_attempts": ["Too many wrong PINs. Wait some minutes, then try again.", "Zu viele falsche PINs. Warte ein paar Minuten und versuch es dann noch einmal."],
  "pair.error.not_pairing": [
    "The lock is not ready. Hold its button until the ring of light stays on, then tap “Add” again. If it does not light up, pairing is switched off in the lock's settings.",
    "Das Schloss ist nicht bereit. Halte seinen Knopf, bis der Leuchtring an bleibt, und tippe noch einmal auf „Hinzufügen“. Bleibt der Ring dunkel, ist das Koppeln in den Einstellungen des Schlosses abgeschaltet.",
  ],
  "pair.error.max_user": ["The lock has no room for another user. The owner has to remove one.", "Das Schloss hat keinen Platz für weitere Benutzer. Der Besitzer muss einen entfernen."],
  "pair.error.bad_authenticator": ["Lock and phone did not agree on a key. Try again.", "Schloss und Handy haben sich nicht auf einen Schlüssel geeinigt. Versuch es noch einmal."],
  "pair.error.timeout_here": ["The lock did not answer. Hold its button again and try once more.", "Das Schloss hat nicht geantwortet. Halte seinen Knopf noch einmal und versuch es erneut."],
  "pair.error.disconnected": ["The connection broke off. Hold the button again and try once more.", "Die Verbindung ist abgerissen. Halte den Knopf noch einmal und versuch es erneut."],
  "pair.error.no_pairing_service": ["This device cannot be added like this: it is no Smart Lock that the page knows.", "Dieses Gerät lässt sich so nicht hinzufügen: Es ist kein Smart Lock, das die Seite kennt."],
  "pair.error.not_kept": [
    "The lock has not kept this phone. Hold its button again and try once more.",
    "Das Schloss hat sich dieses Handy nicht gemerkt. Halte seinen Knopf noch einmal und versuch es erneut.",
  ],
  "pair.error.failed": ["Something came back that no lock should say. Try again.", "Es kam etwas zurück, das kein Schloss sagen sollte. Versuch es noch einmal."],

  "error.not_chosen": [
    "No lock was chosen. If none is in the list: go closer, and switch on Bluetooth, and on Android also location.",
    "Es wurde kein Schloss gewählt. Steht keines in der Liste: Geh näher heran und schalte Bluetooth ein, unter Android auch den Standort.",
  ],
  "error.bluetooth_off": ["Bluetooth is switched off. Switch it on and try again.", "Bluetooth ist ausgeschaltet. Schalte es ein und versuch es noch einmal."],
  "error.no_bluetooth": ["This browser lets the page use no Bluetooth.", "Dieser Browser lässt die Seite nicht an Bluetooth."],
  "error.wrong_lock": ["That was another lock. Choose the one of this door.", "Das war ein anderes Schloss. Wähle das dieser Tür."],
  "error.not_reached": [
    "The lock cannot be reached; nothing was sent to it. Go closer and try again. While somebody else is connected to it, it has no time.",
    "Das Schloss ist nicht zu erreichen; es wurde nichts gesendet. Geh näher heran und versuch es noch einmal. Solange jemand anders mit ihm verbunden ist, hat es keine Zeit.",
  ],
};

Object.assign(table, { ...TABLE, ...table });
