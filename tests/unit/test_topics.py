"""What each message on an incoming topic means, and every answer it gets when it means nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuki_bridge.bridge.requests import REQUESTS
from nuki_bridge.lock.profile import OPENER, SMART_LOCK
from nuki_bridge.mqtt.message import Incoming
from nuki_bridge.protocol.codes import Action, LockState, OpenerAction, OpenerState
from nuki_bridge.topics import topics, tree
from nuki_bridge.topics.topics import RefusedRequest, Request
from nuki_bridge.topics.tree import RequestKind


def parse(base: str, heard: Incoming) -> Request | None:
    return topics.parse(base, heard, REQUESTS, lambda lock: OPENER if lock == "intercom" else SMART_LOCK)


INBOX = "0123456789abcdef" * 2


def message(topic: str, payload: bytes | str = b"", **fields: Any) -> Incoming:
    data = payload.encode() if isinstance(payload, str) else payload
    return Incoming(**{"topic": topic, "payload": data, "retain": False, "received_at": 100.0, **fields})


def read(topic: str, payload: bytes | str = b"", **fields: Any) -> Request:
    request = parse("nuki", message(topic, payload, **fields))
    assert request is not None
    return request


def refusal(topic: str, payload: bytes | str = b"", **fields: Any) -> RefusedRequest:
    with pytest.raises(RefusedRequest) as caught:
        parse("nuki", message(topic, payload, **fields))
    return caught.value


# -- lock actions


@pytest.mark.parametrize(
    ("payload", "action"),
    [
        ("lock", Action.LOCK),
        ("unlock", Action.UNLOCK),
        ("unlatch", Action.UNLATCH),
        ("open", Action.UNLATCH),
        ("OPEN", Action.UNLATCH),
        (" Lock\r\n", Action.LOCK),
        ("lock_n_go", Action.LOCK_N_GO),
        ("lock-n-go", Action.LOCK_N_GO),
        ("LockNGo", Action.LOCK_N_GO),
        ("lock'n'go", Action.LOCK_N_GO),
        ("lock 'n' go", Action.LOCK_N_GO),
        ("lock_n_go_unlatch", Action.LOCK_N_GO_UNLATCH),
        ("lockNgoUnlatch", Action.LOCK_N_GO_UNLATCH),
        ("lockngo_unlatch", Action.LOCK_N_GO_UNLATCH),
        ("Lock ’n’ go", Action.LOCK_N_GO),
        ("full_lock", Action.FULL_LOCK),
        ("fullLock", Action.FULL_LOCK),
        ("fob_action_1", Action.FOB_ACTION_1),
        ("fob_action_3", Action.FOB_ACTION_3),
        ('{"action":"unlock"}', Action.UNLOCK),
        ('{"action":"Open","transaction":1}', Action.UNLATCH),
    ],
)
def test_lock_action_is_read(payload: str, action: Action) -> None:
    request = read("nuki/front_door/set", payload)
    assert (request.kind, request.lock, request.action) == (RequestKind.SET, "front_door", action)
    assert request.reply_to == ("nuki/front_door/result",)


def test_the_same_word_is_another_action_on_another_kind_of_lock() -> None:
    """By their numbers `lock` and `deactivate_rto` are the same, and so are `unlatch` and the strike."""
    opened = read("nuki/intercom/set", '{"action":"Open","only_if":["RTO_active"]}')
    assert (opened.action, opened.action.name) == (OpenerAction.OPEN, "OPEN")  # type: ignore[union-attr]
    assert set(opened.only_if or ()) == {OpenerState.RTO_ACTIVE}
    assert opened.echo["action"] == "open"
    assert read("nuki/front_door/set", "open").echo["action"] == "unlatch"
    assert read("nuki/intercom/set", "activateCM").echo["action"] == "activate_continuous_mode"


@pytest.mark.parametrize(
    ("lock", "payload", "allowed"),
    [
        ("intercom", "lock", "activate_rto, deactivate_rto, open, activate_continuous_mode"),
        ("intercom", "unlock", "activate_rto"),
        ("intercom", '{"action":"unlatch"}', "activate_rto"),
        ("intercom", "lock_n_go", "activate_rto"),
        ("front_door", "activate_rto", "unlock, lock, unlatch"),
        ("front_door", "activate_cm", "unlock, lock, unlatch"),
    ],
)
def test_an_action_of_another_kind_of_lock_is_unknown(lock: str, payload: str, allowed: str) -> None:
    error = refusal(f"nuki/{lock}/set", payload)
    assert error.code == "unknown_action"
    assert f"allowed are {allowed}" in str(error)


def test_a_state_of_another_kind_of_lock_is_refused() -> None:
    error = refusal("nuki/intercom/set", '{"action":"open","only_if":["unlocked"]}')
    assert error.code == "bad_request"
    assert "uncalibrated, locked, rto_active" in str(error)
    assert refusal("nuki/front_door/set", '{"action":"lock","only_if":["rto_active"]}').code == "bad_request"


@pytest.mark.parametrize("payload", ["", "  ", "fly", "none", "button_no_action", "lock\0", "1", '{"action":"fly"}'])
def test_unknown_action_names_the_allowed_ones(payload: str) -> None:
    error = refusal("nuki/front_door/set", payload)
    assert error.code == "unknown_action"
    assert "unlatch" in str(error)
    assert "fob_action_3" in str(error)


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        "{",
        '{"action":"lock"',
        '{"action":"lock"} x',
        '{"action":5}',
        '{"action":null}',
        "{}",
        '["lock"]',
        '"lock"',
        '{"action":"lock","action":"unlock"}',
        '{"action":"lock","force":true}',
        '{"action":"lock","transaction":NaN}',
        '{"action":"lock","transaction":-Infinity}',
        '{"action":"lock","transaction":1e999}',
        '{"action":"lock","transaction":{"a":1,"a":2}}',
        '{"action":"lock","transaction":' + "9" * 5000 + "}",
        '{"action":"lock","transaction":' + "[" * 40 + "]" * 40 + "}",
        '{"action":"lock","transaction":' + "[" * 8000 + "]" * 8000 + "}",
        "[" * 16000,
    ],
)
def test_malformed_lock_action_is_refused(payload: bytes | str) -> None:
    assert refusal("nuki/front_door/set", payload).code == "bad_request"


def test_states_and_a_name_for_the_log_are_read() -> None:
    payload = {"action": "Open", "only_if": ["Unlocked", "unlocked_lock_n_go"], "as": "Küche, Node-RED 4"}
    request = read("nuki/front_door/set", json.dumps(payload))
    assert set(request.only_if or ()) == {LockState.UNLOCKED, LockState.UNLOCKED_LOCK_N_GO}
    assert request.suffix == "Küche, Node-RED 4"
    request = read("nuki/front_door/set", '{"action":"lock","only_if":null,"as":null}')
    assert (request.only_if, request.suffix) == (None, None)


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("only_if", [], "only_if must be a list of states"),
        ("only_if", "locked", "only_if must be a list of states"),
        ("only_if", ["open"], "only_if must be a list of states: uncalibrated, locked, unlocking"),
        ("only_if", [1], "only_if must be a list of states"),
        ("only_if", ["locked", None], "only_if must be a list of states"),
        ("as", "", "as must be a printable text"),
        ("as", "  ", "as must be a printable text"),
        ("as", "a\nb", "as must be a printable text"),
        ("as", "ü" * 11, "as must have 20 bytes at most"),
        ("as", 7, "as must be a printable text"),
        ("if", ["locked"], "allowed: action, only_if, as, transaction"),
    ],
)
def test_wrong_states_and_names_are_told(key: str, value: Any, what: str) -> None:
    error = refusal("nuki/front_door/set", json.dumps({"action": "lock", key: value, "transaction": 1}))
    assert error.code == "bad_request"
    assert what in str(error)
    assert error.request.echo["transaction"] == 1


@pytest.mark.parametrize(
    "transaction",
    ["any", "", 7, 0, -1.5, None, True, [1, {"a": None}], {"x": "é"}, 2**70, "\ud800", "\0", 1e300],
)
def test_transaction_of_any_kind_comes_back_unchanged(transaction: Any) -> None:
    request = read("nuki/front_door/set", json.dumps({"action": "lock", "transaction": transaction}))
    [answer] = topics.done(request, completion="success")
    assert json.loads(answer.payload) == {
        "action": "lock",
        "status": "ok",
        "completion": "success",
        "transaction": transaction,
    }


def test_transaction_comes_back_with_an_error_if_it_could_be_read() -> None:
    error = refusal("nuki/front_door/set", '{"action":"fly","transaction":"t1"}')
    [answer] = topics.refused(error.request, error.code, str(error))
    assert json.loads(answer.payload) == {
        "status": "error",
        "error": "unknown_action",
        "message": str(error),
        "transaction": "t1",
    }
    error = refusal("nuki/front_door/set", '{"action":"lock","transaction":"t1"')
    [answer] = topics.refused(error.request, error.code, str(error))
    assert "transaction" not in json.loads(answer.payload)


# -- requests


def test_request_to_a_lock() -> None:
    request = read("nuki/front_door/request/battery/get", '{"transaction":"t"}')
    assert (request.kind, request.lock, request.command) == (RequestKind.REQUEST, "front_door", "battery/get")
    assert request.reply_to == ("nuki/front_door/response/battery/get",)
    [answer] = topics.done(request, data={"a": 1})
    assert json.loads(answer.payload) == {"status": "ok", "data": {"a": 1}, "transaction": "t"}


def test_request_to_the_bridge() -> None:
    request = read(
        "nuki/bridge/request/pair",
        '{"address":"54:d2:72:aa:bb:cc","name":"front_door","pin":"0123","as":"app","timeout":5}',
    )
    assert (request.lock, request.command) == (None, "pair")
    assert request.arguments == {
        "address": "54:D2:72:AA:BB:CC",
        "name": "front_door",
        "pin": "0123",
        "as": "app",
        "timeout": 5.0,
    }
    assert request.reply_to == ("nuki/bridge/response/pair",)


@pytest.mark.parametrize("payload", ["", "  \n", "{}"])
def test_empty_request_is_an_empty_object(payload: str) -> None:
    assert read("nuki/bridge/request/scan", payload).arguments == {}


@pytest.mark.parametrize("topic", ["nuki/bridge/request/fly", "nuki/a/request/users/fly", "nuki/a/request/set"])
def test_unknown_request_names_the_allowed_ones(topic: str) -> None:
    error = refusal(topic)
    assert error.code == "unknown_command"
    assert ("scan" if "bridge" in topic else "refresh") in str(error)


@pytest.mark.parametrize("topic", ["nuki/a/request", "nuki/a/request/", "nuki/bridge/request"])
def test_request_without_a_command_is_unknown(topic: str) -> None:
    error = refusal(topic)
    assert error.code == "unknown_command"
    assert error.request.reply_to[0].endswith("/response")


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        ("[]", "object"),
        ("7", "object"),
        ("nonsense", "JSON"),
        ('{"timeout":"5"}', "timeout must"),
        ('{"timeout":true}', "timeout must"),
        ('{"timeout":0}', "timeout must"),
        ('{"timeout":601}', "timeout must"),
        ('{"address":"front"}', "address must"),
        ('{"name":""}', "name must"),
        ('{"name":5}', "name must"),
        ('{"as":"fob"}', "bridge, app"),
        ('{"nmae":"x"}', "allowed: address, name, pin"),
    ],
)
def test_wrong_argument_is_told(payload: str, what: str) -> None:
    error = refusal("nuki/bridge/request/pair", payload)
    assert error.code == "bad_request"
    assert what in str(error)


@pytest.mark.parametrize(
    "pin", ['"12a456"', '"123"', "12345", "70000", "123", '"1234567"', "true", "12.5", '"４２"', "1234567", "-1234"]
)
def test_wrong_pin_is_refused_and_never_shown(pin: str) -> None:
    error = refusal("nuki/bridge/request/pair", f'{{"pin":{pin}}}')
    assert error.code == "bad_request"
    assert pin.strip('"-') not in str(error)


def test_pin_as_a_number_is_taken_and_stays_out_of_reprs() -> None:
    request = read("nuki/bridge/request/pair", '{"pin":987654}')
    assert request.arguments["pin"] == "987654"
    assert "987654" not in repr(request)


def test_missing_argument_is_told() -> None:
    assert str(refusal("nuki/bridge/request/unpair")) == "name is missing"
    assert str(refusal("nuki/bridge/request/unpair", '{"name":null}')) == "name is missing"


# -- rules for all


@pytest.mark.parametrize(
    "topic", ["nuki/a/set", "nuki/a/request/refresh", "nuki/bridge/request/restart", "nuki/a/simulate"]
)
def test_retained_message_is_never_carried_out(topic: str) -> None:
    assert refusal(topic, "lock", retain=True).code == "retained_command"
    assert refusal(topic, '{"transaction":1}', retain=True).code == "retained_command"
    assert parse("nuki", message(topic, b"", retain=True)) is None


@pytest.mark.parametrize("topic", ["nuki/a/set", "nuki/a/request/users/list", "nuki/bridge/request/locks"])
def test_whoever_retained_a_command_knows_the_refusal_for_its_answer(topic: str) -> None:
    """A program that waits for its transaction, or on its Response Topic, would else wait in vain."""
    asked = {"response_topic": "me/inbox", "correlation_data": b"7", "retain": True}
    request = refusal(topic, '{"transaction":{"a":1},"action":"unlock"}', **asked).request
    answers = topics.refused(request, "retained_command", topics.RETAINED)
    assert answers[-1].topic == "me/inbox"
    for answer in answers:
        assert (json.loads(answer.payload)["transaction"], answer.correlation_data) == ({"a": 1}, b"7")


@pytest.mark.parametrize("payload", ["lock", "{", '{"transaction":NaN}', b"\xff", " " * 16385, '{"a":' * 40])
def test_retained_nonsense_is_refused_for_being_retained(payload: bytes | str) -> None:
    error = refusal("nuki/a/set", payload, retain=True, response_topic="nuki/a/set")
    assert (error.code, error.request.reply_to, dict(error.request.echo)) == (
        "retained_command",
        ("nuki/a/result",),
        {},
    )


@pytest.mark.parametrize("kind", ["invitation/" + INBOX + "/redeem", "a/relay/" + INBOX + "/write"])
def test_guests_who_retain_are_answered_on_their_own_topic(kind: str) -> None:
    request = refusal(f"nuki/{kind}", '{"transaction":1}', retain=True, response_topic="me/inbox").request
    assert [topic.rpartition("/")[0] for topic in request.reply_to] == [f"nuki/{kind}".rpartition("/")[0]]
    assert not request.echo


def test_a_response_topic_that_is_refused_costs_no_transaction() -> None:
    request = refusal("nuki/bridge/request/locks", '{"transaction":5}', response_topic="nuki/a/set").request
    assert (request.reply_to, request.echo) == (("nuki/bridge/response/locks",), {"transaction": 5})


@pytest.mark.parametrize("topic", ["nuki/a/set", "nuki/a/request/refresh", "nuki/bridge/request/scan"])
def test_large_payload_is_refused(topic: str) -> None:
    assert refusal(topic, b" " * 16385).code == "payload_too_large"
    assert refusal("nuki/a/set", b" " * 16384).code == "unknown_action"


@pytest.mark.parametrize(
    "topic",
    ["other/a/set", "nuki", "nuki/a", "nuki/a/state", "nuki/a/set/x", "nukiset", "nuki/a/b/set", "x/nuki/a/set"],
)
def test_other_topics_are_none_of_our_business(topic: str) -> None:
    assert parse("nuki", message(topic, "lock")) is None


def test_base_topic_may_have_levels() -> None:
    request = parse("home/doors", message("home/doors/a/set", "lock"))
    assert request is not None
    assert request.reply_to == ("home/doors/a/result",)


@pytest.mark.parametrize(("expiry_s", "deadline"), [(None, 115.0), (3, 103.0), (0, 100.0), (600, 115.0)])
def test_deadline_is_the_shorter_of_15_s_and_the_expiry(expiry_s: int | None, deadline: float) -> None:
    assert read("nuki/a/set", "lock", message_expiry_s=expiry_s).deadline == deadline


def test_response_topic_takes_the_place_of_the_response() -> None:
    request = read("nuki/bridge/request/scan", response_topic="me/inbox", correlation_data=b"\x00\x01")
    [answer] = topics.done(request, data=[])
    assert (answer.topic, answer.correlation_data, answer.retain) == ("me/inbox", b"\x00\x01", False)


def test_result_of_an_action_goes_to_the_result_topic_too() -> None:
    request = read("nuki/a/set", "lock", response_topic="me/inbox", correlation_data=b"7")
    assert [answer.topic for answer in topics.done(request)] == ["nuki/a/result", "me/inbox"]


@pytest.mark.parametrize(
    "topic",
    [
        "nuki/a/set",
        "nuki/response/set",
        "nuki/a/request/refresh",
        "nuki/a/request/response",
        "nuki/bridge/request/restart",
        "nuki/bridge/request",
        "nuki/a/state",
        "nuki/response/state",
        "nuki/bridge/state",
        "nuki/bridge/info",
        "nuki/a/simulate",
        "nuki/a/result",
        "nuki/b/result",
        "nuki/a/response/users/list",
        "nuki/bridge/response/scan",
        "nuki/bridge/response/owner",
        "nuki/bridge/response/owner/me",
        "nuki/bridge/response/owner/node-red",
        "nuki/bridge/response/0123abcd",
        f"nuki/bridge/response/owner/x/{INBOX}",
        f"nuki/bridge/response/owner/{INBOX}/x",
        f"nuki/bridge/response//{INBOX}",
        f"nuki/a/response/{INBOX}",
        f"nuki/invitation/{INBOX}/response",
        f"nuki/a/relay/{INBOX}/error",
        f"nuki/a/relay/{INBOX}/indicate",
        "nuki/response/me",
        "nuki/1A2B3C4D/lockAction",
        "nuki/a",
        "nuki",
        "$SYS/response",
    ],
)
def test_response_topic_must_not_be_one_of_the_bridges_own(topic: str) -> None:
    error = refusal("nuki/bridge/request/restart", response_topic=topic)
    assert error.code == "bad_request"
    assert error.request.reply_to == ("nuki/bridge/response/restart",)


@pytest.mark.parametrize(
    "topic",
    [
        f"nuki/bridge/response/{INBOX}",
        f"nuki/bridge/response/home/{INBOX}",
        "me/inbox",
        "nukix/set",
        "x",
        "nukix/a/result",
    ],
)
def test_response_topic_for_answers_is_taken(topic: str) -> None:
    assert read("nuki/bridge/request/scan", response_topic=topic).reply_to == (topic,)


@given(st.binary(max_size=200), st.sampled_from(["a/set", "a/request/refresh", "bridge/request/pair", "a/simulate"]))
def test_any_payload_is_read_or_refused_with_an_answer(payload: bytes, below: str) -> None:
    try:
        parse("nuki", message(f"nuki/{below}", payload))
    except RefusedRequest as error:
        for answer in topics.refused(error.request, error.code, str(error)):
            json.loads(answer.payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["action", "transaction", "address", "pin", "name", "timeout", "as"]), JSON))
def test_any_object_is_read_or_refused_with_its_transaction(values: dict[str, Any]) -> None:
    for below in ("a/set", "bridge/request/pair"):
        try:
            request = read(f"nuki/{below}", json.dumps(values))
        except RefusedRequest as error:
            request = error.request
        for answer in topics.refused(request, "code", "message"):
            told = json.loads(answer.payload)
            assert ("transaction" in values) == ("transaction" in told)
            assert told.get("transaction") == values.get("transaction")


# -- the tree


def test_command_filters_do_not_overlap() -> None:
    filters = tree.command_filters("nuki")
    assert sorted(filters) == ["nuki/+/relay/+/write", "nuki/+/request/#", "nuki/+/set", "nuki/invitation/+/redeem"]
    assert tree.command_filters("nuki", virtual=True) == [*filters, "nuki/+/simulate"]


def test_retained_filters_and_topics() -> None:
    kinds = ["availability", "state", "continuous_mode", "door", "battery", "status", "users", "keypad", "invitations"]
    assert tree.retained_topics("nuki", "a") == [f"nuki/a/{kind}" for kind in kinds]
    assert tree.retained_filters("nuki") == ["nuki/bridge/info"] + [f"nuki/+/{kind}" for kind in kinds]


def test_no_filter_of_retained_topics_fits_a_command() -> None:
    """Otherwise a broker might deliver a command twice."""
    leaves = {each.rpartition("/")[2] for each in tree.retained_filters("nuki")}
    assert not leaves & {"set", "simulate", "#"}


def test_each_topic_stands_once_in_the_table() -> None:
    patterns = [each.pattern for each in tree.TABLE]
    assert len(set(patterns)) == len(patterns)


def test_a_guest_cannot_have_an_error_published_to_a_topic_of_its_choice() -> None:
    lookup = "ab" * 16
    with pytest.raises(topics.RefusedRequest) as refused:
        parse("nuki", message(f"nuki/invitation/{lookup}/redeem", bytes(17_000), response_topic="homeassistant/lock"))
    assert refused.value.code == "payload_too_large"
    assert refused.value.request.reply_to == (f"nuki/invitation/{lookup}/response",)
