"""The doctor on the broker: does it take the daemon's account, and what may that, the guests and nobody do there?

What somebody may do is tried on topics of a lock that does not exist, with payloads that are no command.  Nothing is
retained, and no door can hear it.  A message that comes back was allowed out and in; one that does not was refused on
one of the two ways.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from nuki_bridge.config import MqttSettings
from nuki_bridge.doctor.check import Check
from nuki_bridge.doctor.finding import CouldNotLook, Finding, ok, problem, unknown, warning
from nuki_bridge.doctor.place import SUDO, Place, may_read
from nuki_bridge.errors import BrokerError, ConfigError, NukiError
from nuki_bridge.lock_name import PROBE
from nuki_bridge.mqtt.conversation import Conversation
from nuki_bridge.mqtt.message import Incoming, Subscription
from nuki_bridge.nuki_mqtt.codes import LOCK_ACTION, VENDOR_BASE
from nuki_bridge.records import frozen
from nuki_bridge.web import settings as web_settings

ACKNOWLEDGED_S = 10.0
"""Longest wait in seconds until the broker has acknowledged what was tried."""
LATE_S = 0.5
"""Seconds by which a broker that works in parallel may deliver later than it acknowledges."""
BRIDGE, GUEST, NOBODY = "bridge", "guest", "nobody"
"""Who tries something."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANSWER_S = 20.0
"""Longest wait in seconds for a broker that is to let somebody in."""


@frozen
class Probe:
    """One topic below the base topic, or below `base`: what it is for, and who needs it to publish (w) or to read (r).

    `bridge` is empty where the daemon's account need not have it, or not on every computer.
    """

    what: str
    topic: str
    bridge: str
    guest: str = ""
    base: str | None = None

    def below(self, base: str, lock: str, session: str) -> str:
        """Return the whole topic for a lock and a session."""
        topic = self.topic.replace("<lock>", lock).replace("<session>", session)
        return f"{self.base or base}/{topic}"


PROBES = (
    Probe("commands to a lock", "<lock>/set", "r"),
    Probe("requests to a lock", "<lock>/request/users/list", "r"),
    Probe("requests to the bridge", "bridge/request/pair", "r"),
    Probe("states of a lock", "<lock>/status", "w"),
    Probe("answers", "bridge/response/<session>", "w"),
    Probe("guests' messages to a lock", "<lock>/relay/<session>/write", "r", "w"),
    Probe("a lock's messages to guests", "<lock>/relay/<session>/indicate", "w", "r"),
    Probe("a guest's redeeming of an invitation", "invitation/<session>/redeem", "r", "w"),
    Probe("the answer to that", "invitation/<session>/response", "w", "r"),
    Probe("commands by Nuki's own MQTT API", f"<lock>/{LOCK_ACTION}", "", base=VENDOR_BASE),
)
"""What is tried."""


class Visit(Conversation):
    """One account's connection to the broker, for as long as it takes to try something."""

    def __init__(self, settings: MqttSettings, filters: Iterable[str] = ()) -> None:
        self.heard: list[Incoming] = []
        self.refused: set[str] = set()
        """Topics that the broker did not let this account publish on, as far as it says so."""
        super().__init__(
            settings,
            subscriptions=[Subscription(each) for each in filters],
            on_message=self.heard.append,
            on_refused=self.refused.add,
        )

    @property
    def protocol(self) -> str | None:
        """MQTT version in use."""
        return self._mqtt.protocol

    async def settled(self) -> None:
        """Wait until the broker has acknowledged everything."""
        await self._mqtt.drain(ACKNOWLEDGED_S)


# -- the daemon's login -----------------------------------------------------------------------------------------------


@frozen
class LoginFacts:
    """`refused` is why nobody was let in, None if the account was; `who` is the account."""

    who: str
    protocol: str | None = None
    wanted: str = "auto"
    refused: str | None = None


async def _look_login(place: Place) -> LoginFacts:
    settings = place.broker()
    who = f"the account {settings.username}" if settings.username else "somebody without an account"
    visit = Visit(settings)
    try:
        async with asyncio.timeout(ANSWER_S):
            await visit.open()
        return LoginFacts(who, visit.protocol, settings.protocol)
    except TimeoutError:
        return LoginFacts(who, refused=f"the broker does not answer within {ANSWER_S:g} s")
    except NukiError as error:
        return LoginFacts(who, refused=str(error))
    finally:
        await visit.close()


def judge_login(facts: LoginFacts) -> list[Finding]:
    """Is the daemon's account let in?"""
    if facts.refused is not None:
        return [
            problem(
                "broker",
                facts.refused,
                "docs/troubleshooting.md, The broker cannot be reached, has each message",
            )
        ]
    findings = [ok("broker", f"it lets {facts.who} in")]
    note = "" if facts.protocol == "5" else ": an answer cannot go to its asker alone there, all else works"
    findings.append(ok("MQTT version", f"{facts.protocol}{note}"))
    return findings


# -- the access list --------------------------------------------------------------------------------------------------


@frozen
class Access:
    """What one account was seen to do, by the topic of the probe; what is in neither could not be told."""

    may: Mapping[str, str] = field(default_factory=dict)
    """Of w (it was published) and r (it was read)."""
    may_not: Mapping[str, str] = field(default_factory=dict)


@frozen
class AccessFacts:
    """What the daemon's account, the guests and somebody without an account may do.

    `guest` and `nobody` are None where they were not tried or are not let in; `why_no_guest` says which.  `anonymous`:
    the daemon itself does not log in.
    """

    base: str
    bridge: Access
    guest: Access | None = None
    why_no_guest: str | None = None
    nobody: Access | None = None
    anonymous: bool = False
    local: bool = True
    discovery: bool = True
    """Whether the daemon's account may tell Home Assistant of locks, as far as the broker says, or need not."""


async def _look_access(place: Place) -> AccessFacts:
    if place.broker_named is not None:
        raise CouldNotLook("--broker names an account that may not be the daemon's", "leave --broker out")
    settings = place.broker()
    guest, why = _guest(place, settings)
    nobody = None if settings.username is None else replace(settings, username=None, password=None)
    session = secrets.token_hex(16)
    topics = {each.topic: each.below(settings.base_topic, f"{PROBE}{session[:8]}", session) for each in PROBES}
    bridge = await _enter(settings, topics.values())
    if bridge is None:
        raise CouldNotLook("the broker does not let the daemon's account in")
    visits = {BRIDGE: bridge}
    try:
        for who, account in ((GUEST, guest), (NOBODY, nobody)):
            if account is not None and (visit := await _enter(account, topics.values())) is not None:
                visits[who] = visit
            elif who == GUEST and account is not None:
                why = "the broker does not let the guests' account in"
        prefix = f"{settings.discovery.prefix}/device/doctor_{session[:8]}/config"
        if settings.discovery.enabled:
            bridge.publish(prefix, b"")  # takes an announcement back that nobody has made
        heard = await _tried(visits, topics, session)
        found = {who: _access(who, visits, topics, heard) for who in visits}
    finally:
        for visit in visits.values():
            await visit.close()
    return AccessFacts(
        settings.base_topic,
        found[BRIDGE],
        found.get(GUEST),
        why,
        found.get(NOBODY),
        settings.username is None,
        settings.host in LOOPBACK,
        prefix not in bridge.refused,
    )


def _guest(place: Place, settings: MqttSettings) -> tuple[MqttSettings | None, str | None]:
    """Return how guests log in, as the phone page's configuration says, or why that is not known."""
    page = place.config_file.with_name("web.yaml")
    if not may_read(page):
        return None, f"this user cannot read {page}"
    if not page.exists():
        return None, "there is no web.yaml, which names the guests' account"
    try:
        guest = web_settings.load(page).guest
    except ConfigError:
        return None, "web.yaml has mistakes"
    if guest is None:
        return None, "web.yaml names no account for guests"
    return replace(settings, username=guest.username, password=guest.password), None


async def _enter(settings: MqttSettings, topics: Iterable[str]) -> Visit | None:
    """Return a visit that reads the topics; None if the broker does not let this account in."""
    visit = Visit(settings, topics)
    try:
        async with asyncio.timeout(ANSWER_S):
            await visit.open()
    except (BrokerError, TimeoutError):
        await visit.close()
        return None
    except BaseException:
        await visit.close()
        raise
    return visit


async def _tried(
    visits: Mapping[str, Visit], topics: Mapping[str, str], session: str
) -> dict[tuple[str, str], set[str]]:
    """Have each account publish on each topic; who heard it, by the sender and the topic of the probe."""
    for who, visit in visits.items():
        for topic in topics.values():
            visit.publish(topic, f"nuki-bridge doctor, no command: {who} {session}")
    for visit in visits.values():
        await visit.settled()
    await asyncio.sleep(LATE_S)
    return {
        (sender, probe): {
            reader
            for reader, visit in visits.items()
            if any(
                each.topic == topic and each.payload.decode(errors="replace").endswith(f": {sender} {session}")
                for each in visit.heard
            )
        }
        for sender in visits
        for probe, topic in topics.items()
    }


def _access(
    who: str, visits: Mapping[str, Visit], topics: Mapping[str, str], heard: Mapping[tuple[str, str], set[str]]
) -> Access:
    may: dict[str, str] = {}
    may_not: dict[str, str] = {}
    for probe, topic in topics.items():
        arrived = {sender for sender in visits if heard[sender, probe]}
        if who in arrived:
            may[probe] = "w"
        elif topic in visits[who].refused or arrived:  # where others' messages came through the way is open
            may_not[probe] = "w"
        elif (who == BRIDGE and visits[who].protocol == "5") or visits[
            who
        ].refused:  # it was taken, and nobody reads it
            may[probe] = "w"
        if any(who in heard[sender, probe] for sender in visits):
            may[probe] = may.get(probe, "") + "r"
        elif arrived or may.get(probe) == "w":
            may_not[probe] = may_not.get(probe, "") + "r"
    return Access(may, may_not)


def judge_access(facts: AccessFacts) -> list[Finding]:
    """May the daemon do what it needs, and others not what they must not?"""
    return [_judge_bridge(facts), *_judge_guest(facts), *_judge_nobody(facts)]


def _names(probes: Iterable[Probe], base: str) -> str:
    return ", ".join(f"{each.what} ({each.below(base, '+', '+')})" for each in probes)


def _judge_bridge(facts: AccessFacts) -> Finding:
    name = "access list: the bridge"
    missing = {
        right: [each for each in PROBES if right in each.bridge and right in facts.bridge.may_not.get(each.topic, "")]
        for right in "rw"
    }
    parts = [
        f"it may not {verb} {_names(missing[right], facts.base)}"
        for right, verb in (("r", "read"), ("w", "publish"))
        if missing[right]
    ]
    if parts:
        advice = f"give the daemon's account `topic readwrite {facts.base}/#`; see etc/mosquitto/nuki-bridge.acl"
        return problem(name, "; ".join(parts), advice)
    if not facts.discovery:
        advice = "allow it `topic write homeassistant/#` (mqtt.discovery.prefix), or switch mqtt.discovery off"
        return warning(name, "it may not tell Home Assistant of the locks", advice)
    if any(set(each.bridge) - set(facts.bridge.may.get(each.topic, "")) for each in PROBES):
        return unknown(name, "the broker does not say what it refuses")
    return ok(name, "it may do what it needs")


def _judge_guest(facts: AccessFacts) -> list[Finding]:
    name = "access list: guests"
    if facts.guest is None:
        return [
            unknown(
                name, facts.why_no_guest or "they were not tried", SUDO if "cannot" in str(facts.why_no_guest) else None
            )
        ]
    too_much = [each for each in PROBES if set(facts.guest.may.get(each.topic, "")) - set(each.guest)]
    if too_much:
        return [
            problem(
                name,
                f"the guests' account has more than it needs: {_names(too_much, facts.base)}; everybody whom you have"
                " ever invited has it",
                "take the section `user guest` of etc/mosquitto/nuki-bridge.acl as it is",
            )
        ]
    missing = [each for each in PROBES if set(each.guest) & set(facts.guest.may_not.get(each.topic, ""))]
    if missing:
        return [
            warning(
                name,
                f"the guests' account may not do what guests need: {_names(missing, facts.base)}",
                "take the section `user guest` of etc/mosquitto/nuki-bridge.acl",
            )
        ]
    return [ok(name, "they may do what they need and nothing else")]


def _judge_nobody(facts: AccessFacts) -> list[Finding]:
    name = "access list: nobody"
    if facts.anonymous:
        sentence = "the broker lets everybody in without a password: whoever reaches it can open every door"
        if facts.local:
            advice = "let it listen on 127.0.0.1 alone, or give it the accounts of etc/mosquitto"
            return [warning(name, sentence, advice)]
        return [problem(name, sentence, "give it the accounts and the access list of etc/mosquitto")]
    if facts.nobody is None:
        return [ok(name, "nobody is let in without an account")]
    open_to_all = [each for each in PROBES if facts.nobody.may.get(each.topic)]
    if open_to_all:
        return [
            problem(
                name,
                f"whoever reaches the broker needs no account for {_names(open_to_all, facts.base)}",
                "`allow_anonymous false` in mosquitto's configuration",
            )
        ]
    return [ok(name, "who has no account is let in, but may do nothing below the base topic")]


CHECKS = (
    Check("broker", "does it let the daemon's account in, over which MQTT version", _look_login, judge_login),
    Check("access list", "what the daemon, guests and strangers may do there", _look_access, judge_access),
)
