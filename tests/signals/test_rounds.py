"""Who is woken when: a reader over a wire that answers what the test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.drawn import T0
from watchdog.errors import CollectError, SourceDownError
from watchdog.model import Labels, Reading, SignalKey
from watchdog.reader import BATCH, LONGEST_PAUSE, RedisReader, Round
from watchdog.signals.base import LONGEST_REST, NextLook, Question, Refused, RestingSignal, SignalConfig
from watchdog.signals.redis import RedisConfig, RedisServer
from watchdog.wire import Batch

SECOND = timedelta(seconds=1)
READ: list[object] = []


def note(reply: Any) -> Any:
    """Read an answer, and note that it was read."""
    READ.append(reply)
    return reply


class Sleeper(RestingSignal[SignalConfig]):
    """Asks for some keys, and says what their values are; asks for *more* first if that is wanted."""

    def __init__(self, name: str, *keys: str, more: str = "") -> None:
        super().__init__(SignalKey("s", "test", Labels(name=name)), SignalConfig(every=None), LONGEST_REST)
        self.questions = tuple(Question(("GET", key), note) for key in keys)
        self.more = more
        self.sleeps = LONGEST_REST
        self.heard: Sequence[Any] = ()

    def look_on(self, now: Any, answers: Sequence[Any] | None) -> NextLook:
        """Say what the answers are; sleep as long as it was told to."""
        answers = self.heard = self.heard if answers is None else answers
        if self.more:
            (more,) = yield [("GET", self.more)]
            answers = [*answers, more]
        if "no sense" in answers:
            raise CollectError("that makes no sense")
        self.wake_at = (now + self.sleeps).timestamp()
        return Reading(self.key, now, evidence={"said": list(answers)})


class Answers:
    """A wire to a server that holds *keys*; it is away when *away* says why."""

    place = "here"

    def __init__(self, **keys: Any) -> None:
        self.keys: dict[str, Any] = keys
        self.away: str | None = None
        self.away_for: Callable[[Batch], bool] = lambda _: False
        self.asked: list[str] = []
        self.closed = 0

    async def ask(self, batch: Batch) -> list[Any]:
        """Answer every GET."""
        if self.away is not None or self.away_for(batch):
            raise SourceDownError(self.away or "gone in the middle")
        self.asked += [str(command[1]) for command in batch.commands if command[0] == "GET"]
        return [self.keys.get(str(command[-1]), b"PONG") for command in batch.commands]

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed += 1


class Watching:
    """A reader that looks at *signals*, a second a look unless it is told otherwise."""

    def __init__(self, wire: Answers, *signals: Any) -> None:
        self.wire = wire
        self.reader = RedisReader(wire)
        self.round = Round(signals)
        self.now = T0

    async def look(self, after: timedelta = SECOND) -> dict[str, object]:
        """Look, and return who said what: the answers, or why there are none."""
        self.now += after
        readings = await self.reader.look([self.round], self.now)
        return {
            r.signal.labels.get("name", r.signal.kind): r.trouble or r.evidence.get("said") for r in readings
        }


async def test_only_who_has_other_answers_speaks() -> None:
    """The first time everybody does; then whoever asks for what has changed."""
    wire = Answers(a=b"1", b=b"1", c=[b"x", 1])
    watching = Watching(wire, Sleeper("one", "a", "b"), Sleeper("two", "b", "c"))
    assert await watching.look() == {"one": [b"1", b"1"], "two": [b"1", [b"x", 1]]}
    assert await watching.look() == {}
    wire.keys["a"] = b"2"
    assert await watching.look() == {"one": [b"2", b"1"]}
    wire.keys["b"] = Refused("WRONGTYPE no")
    assert set(await watching.look()) == {"one", "two"}
    assert await watching.look() == {}
    wire.keys["b"] = Refused("NOPERM no")
    assert set(await watching.look()) == {"one", "two"}


async def test_a_shared_question_is_asked_and_read_once() -> None:
    """Three groups of one stream cost one XINFO GROUPS; what nobody wants to know is not even read."""
    READ.clear()
    wire = Answers(a=b"1")
    watching = Watching(wire, *(Sleeper(name, "a") for name in ("one", "two", "three")))
    assert len(await watching.look()) == 3
    await watching.look()
    assert (wire.asked, READ) == (["a", "a"], [b"1"])


async def test_who_wanted_to_be_woken_is() -> None:
    """At its time, though nothing has changed; and when the clock is set back, at once."""
    signal = Sleeper("one", "a")
    watching = Watching(Answers(a=b"1"), signal)
    signal.sleeps = timedelta(seconds=10)
    await watching.look()
    assert [await watching.look(3 * SECOND) for _ in range(4)] == [{}, {}, {}, {"one": [b"1"]}]
    assert await watching.look(-timedelta(hours=1)) == {"one": [b"1"]}
    assert await watching.look() == {}


async def test_who_asks_on_gets_its_answers() -> None:
    """What is asked beyond the questions is asked only while awake, together with all others."""
    wire = Answers(a=b"1", b=b"2")
    watching = Watching(wire, Sleeper("one", "a", more="b"), Sleeper("two", "a", more="b"))
    assert await watching.look() == {"one": [b"1", b"2"], "two": [b"1", b"2"]}
    assert await watching.look() == {}
    assert wire.asked == ["a", "b", "a"]


async def test_a_server_that_is_away_is_told_once_and_by_everybody() -> None:
    """`redis.up` is said at every look; all others say it once, and speak when it is back."""
    wire = Answers(a=b"1")
    server = RedisServer(SignalKey("redis", "redis", Labels()), RedisConfig(every=None), LONGEST_REST)
    watching = Watching(wire, server, Sleeper("one", "a"), Sleeper("two", "a"))
    wire.keys["INFO"] = b"redis_version:7.0.15\r\n"
    assert set(await watching.look()) == {"redis", "one", "two"}
    wire.away = "nobody there"
    assert await watching.look() == {"redis": None, "one": "nobody there", "two": "nobody there"}
    assert await watching.look() == {"redis": None}
    wire.away = "another reason"
    assert set(await watching.look()) == {"redis", "one", "two"}
    wire.away = None
    assert await watching.look() == {"redis": None, "one": [b"1"], "two": [b"1"]}
    assert await watching.look() == {"redis": None}
    assert wire.closed == 3


@pytest.mark.parametrize("lost", [1, 2], ids=["the questions", "what was asked then"])
async def test_a_look_that_broke_off_is_made_up_for(lost: int) -> None:
    """However far it had come: nobody takes an answer for seen that it never got."""
    wire = Answers(a=b"1", b=b"2")
    watching = Watching(wire, Sleeper("one", "a"), Sleeper("two", "a", more="b"))
    await watching.look()
    wire.keys["a"] = b"3"
    breaks = iter([False] * (1 + lost) + [True])
    wire.away_for = lambda _: next(breaks)
    assert "gone in the middle" in (await watching.look()).values()
    wire.away_for = lambda _: False
    assert await watching.look() == {"one": [b"3"], "two": [b"3", b"2"]}
    assert await watching.look() == {}


async def test_trouble_of_one_is_its_own() -> None:
    """An answer that one can make nothing of is that one's trouble, until it is another."""
    wire = Answers(a=b"1", b="no sense")
    watching = Watching(wire, Sleeper("one", "a"), Sleeper("two", "b"))
    assert await watching.look() == {"one": [b"1"], "two": "that makes no sense"}
    wire.keys["b"] = b"2"
    assert await watching.look() == {"two": [b"2"]}


async def test_who_joins_wakes_nobody() -> None:
    """Those that were there go on resting, and those that left are not asked for any more."""
    wire = Answers(**dict.fromkeys("abcdefgh", b"1"))
    sleepers = [Sleeper(name, name) for name in "abcdefgh"]
    watching = Watching(wire, *sleepers[:4])
    await watching.look()
    watching.round.change(sleepers[2:6])
    assert set(await watching.look()) == {"e", "f"}
    assert wire.asked[-4:] == ["c", "d", "e", "f"]
    assert await watching.look() == {}


async def test_a_thousand_questions_go_in_a_few_batches() -> None:
    """All are asked, all are answered, and the signals of one stream stand in one batch."""
    wire = Answers(**{f"k{i}": str(i).encode() for i in range(1_000)})
    watching = Watching(wire, *(Sleeper(f"{i} {n}", f"k{i}") for n in range(2) for i in range(1_000)))
    found = await watching.look()
    assert found == {f"{i} {n}": [str(i).encode()] for i in range(1_000) for n in range(2)}
    assert len(wire.asked) == 1_000
    assert [len(page.batch) for page in watching.round.pages] == [BATCH] * (1_000 // BATCH)


async def test_a_slow_server_is_left_alone() -> None:
    """The slower it answers, the longer it is not asked, up to a limit."""
    reader = RedisReader(Answers())
    assert reader.rest() == timedelta(0)
    reader._latency = 0.1
    assert reader.rest() == timedelta(seconds=10)
    reader._latency = 5.0
    assert reader.rest() == LONGEST_PAUSE
