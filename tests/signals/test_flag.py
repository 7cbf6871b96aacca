"""The flag signal on canned replies, and once on a real server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.drawn import ids, rows
from tests.signals.conftest import Bench
from tests.signals.judged import alerts, notices
from watchdog.errors import CollectError
from watchdog.model import AtLeast, Held, Reading, SignalKey
from watchdog.signals.base import Command, Refused, Reply
from watchdog.signals.flag import HASH_FIELDS, Flag, FlagConfig

NOW = datetime(2026, 2, 19, 1, 50, 25, tzinfo=UTC)
KEY = "quantum:kill_switch"
WRONGTYPE = Refused("WRONGTYPE Operation against a key holding the wrong kind of value")


def flag(**keys: object) -> Flag:
    """Return the signal for `KEY`."""
    config = FlagConfig.model_validate({"key": KEY, **keys})
    return Flag(SignalKey("execution", "flag", config.labels()), config, timedelta(hours=1))


def look(
    signal: Flag, *batches: Sequence[Reply], at: datetime = NOW
) -> tuple[Reading, list[Sequence[Command]]]:
    """Answer each batch of commands with the next of *batches*; return the reading and what was asked."""
    looking = signal.look(at)
    asked = [next(looking)]
    for replies in batches:
        try:
            asked.append(looking.send(replies))
        except StopIteration as done:
            return done.value, asked
    raise AssertionError("it asks for more than there are replies")


SET_WHEN = [
    ("absent", None, None, 0.0),
    ("default", b"1", None, 1.0),
    ("default", b"true", None, 1.0),
    ("default", b'{"by": "risk"}', None, 1.0),
    ("default", b"", None, 0.0),
    ("default", b"0", None, 0.0),
    ("default", b"False", None, 0.0),
    ("default", b" OFF\n", None, 0.0),
    ("default", b"no", None, 0.0),
    ("default, not UTF-8", b"\xff", None, 1.0),
    ("a word", b"halt", "halt", 1.0),
    ("a word", b"1", "halt", 0.0),
    ("a truth", b"True", True, 1.0),
    ("a number", b"0", 0, 1.0),
    ("words", b"stop", ["halt", "stop"], 1.0),
    ("words", b"run", ["halt", "stop"], 0.0),
    ("words", None, ["halt", "stop"], 0.0),
]


@pytest.mark.parametrize(("reply", "set_when", "expected"), [s[1:] for s in SET_WHEN])
def test_what_means_set(reply: bytes | None, set_when: object, expected: float) -> None:
    """A flag that says no is not set, whatever the case, unless the file says what set means."""
    found, _ = look(flag(**({} if set_when is None else {"set_when": set_when})), [reply, -1])
    assert expected == found.values["set"]


def test_one_round_trip() -> None:
    """Held and expiry are asked for together."""
    found, asked = look(flag(), [None, -2])
    assert asked == [[("GET", KEY), ("PTTL", KEY)]]
    assert found.values == {"set": 0.0}
    assert found.evidence == {}


def test_flag_with_an_expiry() -> None:
    """Set at the first look means set at least since then."""
    found, _ = look(flag(), [b"1", 90_500])
    assert {"set": 1.0, "age": AtLeast(0.0), "overdue": AtLeast(0.0), "ttl": 90.5} == found.values
    assert found.evidence == {"value": "1", "since": "2026-02-19T01:50:25Z or before"}


LIVES = [
    ("set at the first look", "1 1 1", [AtLeast(0.0), AtLeast(60.0), AtLeast(120.0)]),
    ("seen to be set", "0 1 1", ["-", 0.0, 60.0]),
    ("set again", "1 0 1", [AtLeast(0.0), "-", 0.0]),
    ("no answer in between", "0 1 _ 1", ["-", 0.0, "failed", 120.0]),
]


@pytest.mark.parametrize(("values", "ages"), [life[1:] for life in LIVES], ids=[life[0] for life in LIVES])
def test_age(values: str, ages: list[Any]) -> None:
    """Minute by minute; `_` is a minute in which Redis refused to answer, `-` a flag that is not set."""
    signal = flag()
    found: list[Held] = []
    for minute, value in enumerate(values.split()):
        reply = Refused("NOPERM no") if value == "_" else value.encode()
        try:
            reading, _ = look(signal, [reply, -1], at=NOW + timedelta(minutes=minute))
        except CollectError:
            found.append("failed")
        else:
            found.append(reading.values.get("age", "-"))
    assert ages == found


@pytest.mark.parametrize("before", ["1", "0 1"], ids=["first seen set", "seen to be set"])
def test_the_next_process_remembers(before: str) -> None:
    """A restart of the watchdog does not make the flag younger, nor its age more exact."""
    first, second = flag(), flag()
    for minute, value in enumerate(before.split()):
        look(first, [value.encode(), -1], at=NOW + timedelta(minutes=minute))
    second.remember(first.memory())
    later = NOW + timedelta(hours=1)
    expected, found = (look(signal, [b"1", -1], at=later)[0].values for signal in (first, second))
    assert expected == found


def test_nothing_to_remember() -> None:
    """A flag that is not set leaves nothing behind, and nothing is taken back from it."""
    signal = flag()
    look(signal, [b"0", -1])
    memory: Mapping[str, Any] = signal.memory()
    assert memory == {}
    signal.remember(memory)


def test_flag_of_another_type() -> None:
    """What is there and no string is a flag that is set."""
    found, asked = look(flag(), [WRONGTYPE, -1], [b"set", WRONGTYPE])
    assert asked[1] == [("TYPE", KEY), ("HMGET", KEY, *HASH_FIELDS)]
    assert found.values["set"] == 1.0
    assert found.evidence["type"] == "set"


def test_flag_of_another_type_cannot_be_compared() -> None:
    """Where a value means set, a set can tell neither."""
    with pytest.raises(CollectError, match='flag "quantum:kill_switch" holds a set'):
        look(flag(set_when="halt"), [WRONGTYPE, -1], [b"set", WRONGTYPE])


def test_refused_by_redis() -> None:
    """A flag that may not be read is unknown, not unset."""
    with pytest.raises(CollectError, match=r"cannot be read: NOPERM this user has no permissions"):
        look(flag(), [Refused("NOPERM this user has no permissions"), -1])


def test_only_the_expiry_is_refused() -> None:
    """The flag is known, its end is not."""
    found, _ = look(flag(), [b"1", Refused("NOPERM no PTTL")])
    assert (found.values["set"], found.values["ttl"]) == (1.0, None)
    assert not found.known


WRONG_KEYS = [
    {"key": ""},
    {"key": []},
    {"key": ["a", ""]},
    {"key": "a", "set_when": []},
    {"key": "a", "set_wen": "1"},
    {"key": "a", "at_most": "0s"},
    {"key": "a", "about": ""},
]


@pytest.mark.parametrize("keys", WRONG_KEYS, ids=str)
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """A flag that can never be set is an error of the file."""
    with pytest.raises(ValidationError):
        FlagConfig.model_validate(keys)


def test_offered_measures() -> None:
    """All of them, under the flag's key."""
    assert list(flag().config.offered()) == ["set", "age", "ttl", "overdue"]
    assert flag().config.labels() == {"key": KEY}


# ---- who, why, since when -----------------------------------------------------------------------

BEFORE = NOW - timedelta(hours=2)
EPOCH_BEFORE = str(int(BEFORE.timestamp()))
SAID = [
    ("JSON", f'{{"by": "ann", "reason": "drill", "at": {EPOCH_BEFORE}}}', {"by": "ann", "reason": "drill"}, 7200.0),
    ("other names", f'{{"set_by": "risk", "why": "margin", "ts": "{BEFORE.isoformat()}"}}', {"by": "risk", "reason": "margin"}, 7200.0),
    ("a bare time", EPOCH_BEFORE, {}, 7200.0),
    ("a time that is yet to come", str(int(NOW.timestamp()) + 3600), {}, AtLeast(0.0)),
    ("no time", '{"reason": "drill"}', {"reason": "drill"}, AtLeast(0.0)),
    ("a secret", '{"by": "ann", "reason": "api_key=abcdef123 leaked"}', {"by": "ann", "reason": "api_key=*** leaked"}, AtLeast(0.0)),
    ("steering signs, no end", '{"reason": "\\u001b[2J' + "x" * 500 + '"}', {"reason": "\ufffd[2J" + "x" * 76}, AtLeast(0.0)),
    ("a JSON bomb", '{"by": ' + "[" * 100_000, {}, AtLeast(0.0)),
]  # fmt: skip


@pytest.mark.parametrize(("held", "said", "age"), [s[1:] for s in SAID], ids=[s[0] for s in SAID])
def test_who_set_it_why_and_since_when(held: str, said: dict[str, str], age: Held) -> None:
    """As far as the value says; what it says is shown without secrets and without end."""
    found, _ = look(flag(), [held.encode(), -1])
    assert (said, age) == (
        {n: t for n, t in found.evidence.items() if n in ("by", "reason")},
        found.values["age"],
    )
    assert all(len(str(shown)) <= 80 for shown in found.evidence.values())


def test_a_value_that_says_it_is_not_set() -> None:
    """A JSON object with `active: false` is a flag at rest."""
    assert look(flag(), [b'{"active": false, "by": "ann"}', -1])[0].values == {"set": 0.0}


COMPANIONS: list[tuple[str, Reply, dict[str, str]]] = [
    ("a sentence", b"margin exhausted", {"reason": "margin exhausted"}),
    ("JSON", b'{"by": "ann", "reason": "drill"}', {"by": "ann", "reason": "drill"}),
    ("none", None, {}),
    ("of another type", WRONGTYPE, {"about": "cannot be read: WRONGTYPE"}),
]


@pytest.mark.parametrize(("reply", "said"), [c[1:] for c in COMPANIONS], ids=[c[0] for c in COMPANIONS])
def test_a_key_beside_it_says_why(reply: Reply, said: dict[str, str]) -> None:
    """It is asked for in the same round trip, and known or not, the flag is."""
    found, asked = look(flag(about="{key}:reason"), [b"1", -1, reply])
    assert asked == [[("GET", KEY), ("PTTL", KEY), ("GET", f"{KEY}:reason")]]
    assert said == {name: text for name, text in found.evidence.items() if name not in ("value", "since")}


def test_an_old_time_left_in_the_value_does_not_age_a_flag_set_anew() -> None:
    """It was seen unset since; what it says of hours ago is of another time."""
    signal = flag()
    look(signal, [b"0", -1])
    found, _ = look(signal, [EPOCH_BEFORE.encode(), -1], at=NOW + timedelta(minutes=5))
    assert found.values["age"] == 0.0


# ---- several keys that are one flag --------------------------------------------------------------

SEVERAL = """
  a       b       | set | age
  -       -       | 0   | -
  1       -       | 1   | a
  -       1       | 1   | b
  1       1       | 1   | both
  NOPERM  1       | 1   | b
  NOPERM  -       | unknown | -
"""


@pytest.mark.parametrize(("held", "is_set", "who"), rows(SEVERAL), ids=ids(SEVERAL))
def test_any_of_several_keys_sets_it(held: str, is_set: str, who: str) -> None:
    """One that cannot be read may be the one that is set, so only a set one settles it."""
    signal = flag(key=["a", "b"])
    words: Mapping[str, Reply] = {"-": None, "1": b"1", "NOPERM": Refused("NOPERM no")}
    replies = [reply for word in held.split() for reply in (words[word], -1)]
    if is_set == "unknown":
        with pytest.raises(CollectError, match='flag "a" cannot be read: NOPERM no'):
            look(signal, replies)
        return
    found, _ = look(signal, replies)
    assert float(is_set) == found.values["set"]
    assert {"a": ["a"], "b": ["b"], "both": ["a", "b"], "-": None}[who] == found.evidence.get("keys")


def test_the_key_that_has_been_set_longest_tells_the_age() -> None:
    """Another that comes and goes makes it no younger."""
    signal = flag(key=["a", "b"])
    ages = []
    for minute, (a, b) in enumerate([(None, None), (b"1", None), (b"1", b"1"), (b"1", None), (None, b"1")]):
        found, _ = look(signal, [a, -1, b, -1], at=NOW + timedelta(minutes=minute))
        ages.append(found.values.get("age", "-"))
    assert ages == ["-", 0.0, 60.0, 120.0, 0.0]


# ---- on a real server, by the built-in rules -------------------------------------------------------

FLAGS = """
  what is there                                | declared                           | said
  nothing                                      | key=f                              | nothing
  SET f 0                                      | key=f                              | nothing
  SET f 1                                      | key=f                              | FlagSet
  SET f {"at":-7200}                           | key=f                              | FlagSet
  SET f {"at":-7200}                           | key=f at_most=1h                   | FlagForgotten FlagSet
  SET f {"at":-90000,"by":"ann"}               | key=f                              | FlagForgotten FlagSet
  SET f {"at":-90000,"by":"ann"}               | key=f at_most=30d                  | FlagSet
  SET f {"at":-90000,"active":false}           | key=f                              | nothing
  HSET f at -90000 by ann                      | key=f                              | FlagForgotten FlagSet
  HSET f at -90000 active 0                    | key=f                              | nothing
  SET f normal                                 | key=f set_when=halt                | nothing
  SET f halt                                   | key=f set_when=halt                | FlagSet
  SET f 1 PX 900000                            | key=f at_most=15m                  | FlagSet
  SADD f x                                     | key=f                              | FlagSet
  SADD f x                                     | key=f set_when=halt                | SignalUnknown
"""


@pytest.mark.redis
@pytest.mark.parametrize(("there", "declared", "said"), rows(FLAGS), ids=ids(FLAGS))
def test_g04_a_forgotten_flag_pages(bench: Bench, there: str, declared: str, said: str) -> None:
    """G04, G05: set warns, set for longer than declared, or for a day, pages; at rest nobody hears of it."""
    moment = re.sub(r"-\d{3,}", lambda ago: f"{bench.after(int(ago[0])).timestamp():.0f}", there)
    if there != "nothing":
        execute: Any = bench.client.execute_command
        execute(*moment.split())
    keys = ", ".join(f"{name}: {text}" for name, text in (pair.split("=") for pair in declared.split()))
    assert (said if said != "nothing" else "") == " ".join(sorted(alerts(bench, f"a: {{flag: {{{keys}}}}}")))


@pytest.mark.redis
def test_six_flags_each_by_its_own_name(bench: Bench) -> None:
    """Of six, two are set: two alerts that say which."""
    names = ["kill_switch", "safe_mode", "halt", "freeze", "pause", "maintenance"]
    bench.client.set("safe_mode", "1", ex=900)
    bench.client.hset("freeze", mapping={"by": "ann", "reason": "release", "set": "true"})
    listed = ", ".join(f"{{key: {name}}}" for name in names)
    found = notices(bench, f"a: {{flag: [{listed}]}}")
    assert sorted(n.alert.labels["key"] for n in found) == ["freeze", "safe_mode"]
    (freeze,) = (n.alert for n in found if n.alert.labels["key"] == "freeze")
    assert (freeze.evidence["by"], freeze.evidence["reason"]) == ("ann", "release")
