"""The Bridge HTTP API's tokens: the document's vectors, and calls that come again, late or early."""

from __future__ import annotations

from calendar import timegm
from hashlib import sha256
from time import gmtime, strftime, strptime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.secret import SecretBox

from nuki_bridge.bridge_http.token import MAX_USED, VALID_S, NoToken, NotYet, Tokens
from nuki_bridge.kinds import Secret

TIME = "2019-03-05T01:06:53Z"
NOW = timegm(strptime(TIME, "%Y-%m-%dT%H:%M:%SZ"))
HASHED = {
    "ts": TIME,
    "rnr": "4711",
    "hash": "f52eb5ce382e356c4239f8fb4d0a87402bb95b7b3124f0762b806ad7d0d01cb6",
}
ENCRYPTED = {
    "ctoken": "a7f6b4df6758b92445bd5470b755b43ba41cf50af8b3f6e19368348ddfb1686291555dfd90b31f9333",
    "nonce": "119c38fb6d7d707b8a45f14e688b74b8c4c1acf33643c71a",
}


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def tokens(clock: Clock, *, plain: bool = False, used_until: int = 0, **more: Any) -> Tokens:
    return Tokens(Secret("123456"), plain=plain, clock=clock, used_until=used_until, **more)


def hashed(at: float, number: int = 1, token: str = "123456") -> dict[str, str]:
    time = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))
    return {"ts": time, "rnr": str(number), "hash": sha256(f"{time},{number},{token}".encode()).hexdigest()}


def encrypted(at: float, number: int = 1, token: str = "123456", nonce: bytes = b"n" * 24) -> dict[str, str]:
    time = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))
    box = SecretBox(sha256(token.encode()).digest())
    return {"ctoken": box.encrypt(f"{time},{number}".encode(), nonce).ciphertext.hex(), "nonce": nonce.hex()}


@pytest.mark.parametrize("call", [HASHED, ENCRYPTED, {"ctoken": ENCRYPTED["ctoken"], "nounce": ENCRYPTED["nonce"]}])
def test_the_documents_vectors_are_taken_once(call: dict[str, str]) -> None:
    judge = tokens(Clock())
    judge.check(call)
    with pytest.raises(NoToken):
        judge.check(call)
    with pytest.raises(NoToken):  # in other letters it is the same
        judge.check({name: value.upper() if name != "rnr" else value for name, value in call.items()})


@pytest.mark.parametrize("make", [hashed, encrypted])
def test_a_call_is_good_for_a_minute_on_either_side(make: object) -> None:
    assert callable(make)
    clock = Clock()
    for off in (-VALID_S, VALID_S):
        tokens(clock).check(make(NOW + off))
    for off in (-VALID_S - 1, VALID_S + 1, -86400, 86400):
        with pytest.raises(NoToken):
            tokens(clock).check(make(NOW + off))


@pytest.mark.parametrize("make", [hashed, encrypted])
def test_a_call_that_was_dated_ahead_does_not_work_again_when_its_time_has_come(make: object) -> None:
    assert callable(make)
    clock = Clock()
    judge = tokens(clock)
    judge.check(make(NOW + VALID_S))
    for _ in range(2 * VALID_S + 5):
        clock.now += 1
        with pytest.raises(NoToken):
            judge.check(make(NOW + VALID_S))


def test_a_clock_that_is_set_back_brings_no_old_call_back() -> None:
    clock = Clock()
    judge = tokens(clock)
    judge.check(hashed(NOW))
    clock.now += 300
    judge.check(hashed(clock.now, 2))  # the first is forgotten now
    clock.now = NOW
    with pytest.raises(NotYet):
        judge.check(hashed(NOW))


def test_what_another_process_may_have_taken_is_not_taken() -> None:
    judge = tokens(Clock(), used_until=NOW)
    with pytest.raises(NotYet):
        judge.check(hashed(NOW))
    judge.check(hashed(NOW + 1))
    assert judge.latest == NOW + 1


@pytest.mark.parametrize("ahead_s", [0, 40, VALID_S])
def test_after_a_crash_nothing_that_was_taken_is_taken_again(ahead_s: int) -> None:
    """Whatever the clock of the next process says, such as that of a computer which has none of its own."""
    written: list[int] = []
    clock = Clock()
    first = tokens(clock, reserve=written.append)
    first.check(hashed(NOW))
    first.check(hashed(NOW + ahead_s, 2))
    assert written[-1] >= NOW + ahead_s
    assert len(written) <= 2  # once a minute, not for each call
    for now in (NOW - 600, NOW, NOW + ahead_s + VALID_S):
        clock.now = now
        second = tokens(clock, used_until=written[-1])
        for call in (hashed(NOW), hashed(NOW + ahead_s, 2)):
            with pytest.raises((NoToken, NotYet)):
                second.check(call)
    clock.now = written[-1] + 1
    tokens(clock, used_until=written[-1]).check(hashed(clock.now, 3))


def test_a_clock_that_is_behind_is_no_wrong_token() -> None:
    """A program that is told that its token is wrong asks its owner for another one."""
    clock = Clock()
    judge = tokens(clock, used_until=NOW)
    clock.now -= 3600
    with pytest.raises(NotYet):
        judge.check(hashed(NOW + 10))
    with pytest.raises(NoToken):
        judge.check(hashed(NOW + 10, token="123457"))
    clock.now = NOW + 10
    judge.check(hashed(NOW + 10))


def test_another_token_opens_nothing() -> None:
    judge = tokens(Clock(), plain=True)
    for call in (hashed(NOW, token="123457"), encrypted(NOW, token="123457"), {"token": "123457"}, {}, {"token": ""}):
        with pytest.raises(NoToken):
            judge.check(call)


def test_the_token_itself_is_taken_only_if_that_is_allowed() -> None:
    for _ in range(2):
        tokens(Clock(), plain=True).check({"token": "123456"})
    with pytest.raises(NoToken):
        tokens(Clock()).check({"token": "123456"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"rnr": "65536"},
        {"rnr": "-1"},
        {"rnr": ""},
        {"rnr": "\u0661"},
        {"ts": "2019-03-05T01:06:53"},
        {"ts": "2019-13-05T01:06:53Z"},
        {"hash": ""},
        {"hash": HASHED["hash"][:-1] + "\u0661"},
    ],
)
def test_a_hashed_token_has_one_form(wrong: dict[str, str]) -> None:
    call = HASHED | wrong
    if "hash" not in wrong:
        call["hash"] = sha256(f"{call['ts']},{call['rnr']},123456".encode()).hexdigest()
    with pytest.raises(NoToken):
        tokens(Clock()).check(call)


def test_memory_has_an_end() -> None:
    clock = Clock()
    judge = tokens(clock)
    for number in range(MAX_USED):
        judge.check(hashed(NOW, number))
    with pytest.raises(NotYet):
        judge.check(hashed(NOW, MAX_USED))
    clock.now += 2 * VALID_S
    judge.check(hashed(clock.now, 1))


TEXT = st.text(max_size=70) | st.text("0123456789abcdef", max_size=90)


@pytest.mark.long
@given(st.dictionaries(st.sampled_from(["token", "ts", "rnr", "hash", "ctoken", "nonce", "nounce"]), TEXT))
def test_any_parameters_are_judged(query: dict[str, str]) -> None:
    with pytest.raises(NoToken):
        tokens(Clock(), plain=True).check(query)
