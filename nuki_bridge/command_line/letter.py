"""The letter that goes with an invitation: whom it is for, which door, until when, and what to open or to type.

It can be sent as it is, in English or in German, with that language's words and dates.  Its sentences are those that
the phone page shares (`web/page/owner/texts.js`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from nuki_bridge import HOMEPAGE
from nuki_bridge.command_line.access_options import WEEKDAYS, runs_of
from nuki_bridge.records import frozen

LANGUAGES: Final = ("en", "de")
"""The languages that letters are written in."""


@frozen
class _Words:
    """One language's sentences, and how it writes dates."""

    link: str
    code: str
    limits: str
    nearby: str
    no_app: str
    program: str
    redeem: str
    then: str
    unlocks: str
    opens: str
    anywhere: str
    at_the_door: str
    days: tuple[str, ...]
    """Short, from Monday on."""
    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    date: str
    moment: str
    since: str
    until: str


_EN: Final = _Words(
    link="{name}, this link gives your phone a key to “{door}”. It works once, until {time}: {link}",
    code="{name}, this code gives your computer a key to “{door}”. It works once, until {time}: {code}",
    limits="You may use the key {limits}.",
    nearby="It works at the door only, by Bluetooth: take an Android phone with Chrome.",
    no_app="You need no app and no account. If the page asks for a code, it is {code}",
    program="You need Linux and the program nuki-bridge. How to install it: {home}",
    redeem="Then type this. It asks for the code, and for a password that I tell you in another way:",
    then="From then on this {does} the door, {where}:",
    unlocks="unlocks",
    opens="opens",
    anywhere="wherever you are",
    at_the_door="when you stand before it",
    days=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    months=(
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    date="{day} {month} {year}",
    moment="{date}, {hour}",
    since="from {date}",
    until="until {date}",
)
_DE: Final = _Words(
    link="{name}, dieser Link gibt deinem Handy einen Schlüssel für „{door}“. Er gilt einmal, bis {time}: {link}",
    code="{name}, dieser Code gibt deinem Computer einen Schlüssel für „{door}“. Er gilt einmal, bis {time}: {code}",
    limits="Du darfst den Schlüssel benutzen: {limits}.",
    nearby="Er geht nur an der Tür, über Bluetooth: mit einem Android-Handy und Chrome.",
    no_app="Du brauchst keine App und kein Konto. Fragt die Seite nach einem Code, ist es {code}",
    program="Du brauchst Linux und das Programm nuki-bridge. So wird es installiert: {home}",
    redeem="Gib dann dies ein. Es fragt nach dem Code, und nach einem Passwort, das ich dir auf anderem Weg sage:",
    then="Von da an {does}, {where}:",
    unlocks="schließt dies die Tür auf",
    opens="öffnet dies die Tür",
    anywhere="wo du auch bist",
    at_the_door="wenn du davor stehst",
    days=("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"),
    weekdays=("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
    months=(
        *("Januar", "Februar", "März", "April", "Mai", "Juni"),
        *("Juli", "August", "September", "Oktober", "November", "Dezember"),
    ),
    date="{day}. {month} {year}",
    moment="{date}, {hour} Uhr",
    since="ab {date}",
    until="bis {date}",
)
_WORDS: Final = {"en": _EN, "de": _DE}


def language(environ: Mapping[str, str]) -> str:
    """Return the language of whoever types, as far as letters are written in it; else English."""
    wanted = next((environ[each] for each in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(each)), "")
    return next((each for each in LANGUAGES if re.match(rf"{each}\b|{each}_", wanted)), LANGUAGES[0])


@frozen
class Letter:
    """What an invitation's letter is made of; `broker` is the guests' URL of the broker, None if nobody knows it."""

    name: str
    lock: str
    expires: str
    code: str
    link: str
    remote: bool
    access: Mapping[str, Any] | None
    broker: str | None
    is_opener: bool = False

    def text(self, language: str) -> str:
        """Return the whole letter; what is to be opened or typed stands on lines of its own."""
        words = _WORDS[language]
        opens_page = self.link.startswith(("http:", "https:"))
        first = (words.link if opens_page else words.code).format(
            name=self.name,
            door=pretty(self.lock),
            time=moment(self.expires, language),
            link=f"\n\n  {self.link}\n",
            code=f"\n\n  {self.code}\n",
        )
        lines = [first.replace(": \n", ":\n")]
        if limits := _limits(self.access, words):
            lines.append(words.limits.format(limits=limits))
        lines += self._page(words) if opens_page else self._program(words)
        return "\n".join(lines)

    def _page(self, words: _Words) -> list[str]:
        return [*([] if self.remote else [words.nearby]), words.no_app.format(code=self.code)]

    def _program(self, words: _Words) -> list[str]:
        does = words.opens if self.is_opener else words.unlocks
        where = words.anywhere if self.remote else words.at_the_door
        redeem = "nuki-bridge redeem" + (f" --broker {self.broker}" if self.broker else "")
        act = f"nuki-bridge guest {'open' if self.is_opener else 'unlock'}" + ("" if self.remote else " --bluetooth")
        return [
            words.program.format(home=HOMEPAGE),
            words.redeem,
            f"\n  {redeem}\n",
            words.then.format(does=does, where=where),
            f"\n  {act}",
        ]


def pretty(lock: str) -> str:
    """Return a lock's name as people write it, like the page: `front_door` is Front door."""
    spaced = re.sub(r"[_-]+", " ", lock)
    return spaced[:1].upper() + spaced[1:]


def moment(text: str, language: str) -> str:
    """Return a moment of an answer with its weekday; as it is if it is none."""
    words = _WORDS[language]
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    date = f"{words.weekdays[when.weekday()]}, {_date(when, words)}"
    return words.moment.format(date=date, hour=f"{when:%H:%M}")


def _date(when: datetime, words: _Words) -> str:
    return words.date.format(day=when.day, month=words.months[when.month - 1], year=when.year)


def _limits(access: Mapping[str, Any] | None, words: _Words) -> str:
    """Return when somebody may act, such as `Mon–Fri 08:00–20:00, until 24 December 2026`; empty without limits."""
    if not access:
        return ""
    daily = []
    if access.get("weekdays"):
        runs = [[words.days[WEEKDAYS.index(day)] for day in run] for run in runs_of(access["weekdays"])]
        daily.append(", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else run[0] for run in runs))
    if access.get("time_from") or access.get("time_until"):
        daily.append(f"{access.get('time_from') or '00:00'}–{access.get('time_until') or '24:00'}")
    parts = [" ".join(daily)] if daily else []
    for key, whole, sentence in (("from", "00:00:00", words.since), ("until", "23:59:59", words.until)):
        if text := access.get(key):
            try:
                when = datetime.fromisoformat(text)
            except ValueError:
                parts.append(sentence.format(date=text))
                continue
            date = _date(when, words)
            if f"{when:%H:%M:%S}" != whole:
                date = words.moment.format(date=date, hour=f"{when:%H:%M}")
            parts.append(sentence.format(date=date))
    return ", ".join(parts)
