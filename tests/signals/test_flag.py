"""The flag signal on canned replies, and once on a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from pydantic import ValidationError

from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.errors import CollectError
from watchdog.model import AtLeast, Held, Reading, SignalKey
from watchdog.signals.base import Command, Refused, Reply
from watchdog.signals.flag import Flag, FlagConfig

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
    assert {"set": 1.0, "age": AtLeast(0.0), "ttl": 90.5} == found.values
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
    """A hash that is there is a flag that is set."""
    found, asked = look(flag(), [WRONGTYPE, -1], [b"hash"])
    assert asked[1] == [("TYPE", KEY)]
    assert found.values["set"] == 1.0
    assert found.evidence["type"] == "hash"


def test_flag_of_another_type_cannot_be_compared() -> None:
    """Where a value means set, a hash can tell neither."""
    with pytest.raises(CollectError, match='flag "quantum:kill_switch" holds a hash'):
        look(flag(set_when="halt"), [WRONGTYPE, -1], [b"hash"])


def test_refused_by_redis() -> None:
    """A flag that may not be read is unknown, not unset."""
    with pytest.raises(CollectError, match=r"cannot be read: NOPERM this user has no permissions"):
        look(flag(), [Refused("NOPERM this user has no permissions"), -1])


def test_only_the_expiry_is_refused() -> None:
    """The flag is known, its end is not."""
    found, _ = look(flag(), [b"1", Refused("NOPERM no PTTL")])
    assert (found.values["set"], found.values["ttl"]) == (1.0, None)
    assert not found.known


@pytest.mark.parametrize("keys", [{"key": ""}, {"key": "a", "set_when": []}, {"key": "a", "set_wen": "1"}])
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """A flag that can never be set is an error of the file."""
    with pytest.raises(ValidationError):
        FlagConfig.model_validate(keys)


def test_offered_measures() -> None:
    """All of them, under the flag's key."""
    assert list(flag().config.offered()) == ["set", "age", "ttl"]
    assert flag().config.labels() == {"key": KEY}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """Return a real server."""
    with start_server() as running:
        yield running


@pytest.mark.redis
def test_on_a_real_server(server: EmbeddedServer) -> None:
    """Absent, set with an expiry, a hash: what Redis itself replies."""
    client = redis.Redis.from_url(server.url)
    execute: Callable[..., Reply] = client.execute_command

    def ask(signal: Flag) -> Reading:
        looking = signal.look(NOW)
        batch = next(looking)
        while True:
            replies: list[Reply] = []
            for command in batch:
                try:
                    replies.append(execute(*command))
                except redis.ResponseError as exc:
                    replies.append(Refused(f"{exc}"))
            try:
                batch = looking.send(replies)
            except StopIteration as done:
                found: Reading = done.value
                return found

    assert ask(flag()).values == {"set": 0.0}
    client.set(KEY, "1", px=60_000)
    timed = ask(flag()).values
    assert (1.0, AtLeast(0.0)) == (timed["set"], timed["age"])
    assert isinstance(timed["ttl"], float)
    assert 0 < timed["ttl"] <= 60
    client.delete(KEY)
    client.hset(KEY, "by", "risk")
    assert ask(flag()).evidence["type"] == "hash"
    client.close()
