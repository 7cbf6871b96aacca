"""The scout on real servers: what it finds, how gently it asks, and what may happen meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
import redis

from tests.drawn import T0
from watchdog.config import parse
from watchdog.errors import SourceDownError
from watchdog.model import Reading
from watchdog.scout import Ask, Discovered, Scout
from watchdog.signals.base import Command, Refused, Reply

from .conftest import Lookout, lost, named, names

EVERYTHING = 'discover: {streams: "q:stream:*", heartbeats: "q:svc:{service}:beat", exclude: "*:test:*"}'


def figures(reading: Reading | None) -> Mapping[str, object]:
    """Return what a reading of discovery says as of its own moment."""
    assert reading is not None
    assert reading.trouble is None
    return reading.seen(reading.at)


def test_streams_groups_and_heartbeats_are_found(lookout: Lookout) -> None:
    """Each as the signal that the file would have made of it; other keys, types and tests are not."""
    client = lookout.client
    client.xgroup_create("q:stream:orders", "g", mkstream=True)
    client.xgroup_create("q:stream:orders", "h")
    client.xadd("q:stream:alone", {"n": 1})
    client.xadd("q:stream:test:x", {"n": 1})
    client.xadd("other", {"n": 1})
    client.set("q:stream:text", "no stream")
    client.set("q:svc:trainer:beat", "1")
    client.hset("q:svc:hash:beat", "at", "1")
    scout = lookout.scout(EVERYTHING)
    found = lookout.go(scout)
    assert names(found) == {
        "discovered: q:stream:orders",
        "discovered: group g on q:stream:orders",
        "discovered: group h on q:stream:orders",
        "discovered: q:stream:alone",
        "trainer: q:svc:trainer:beat",
    }
    for spec in found.added:
        assert spec.config.labels() == spec.key.labels
        assert spec.build(timedelta(hours=1)).key == spec.key
        assert spec.config == type(spec.config).model_validate(spec.config.model_dump(exclude_unset=True))
    assert figures(scout.reading(T0)) == {
        "found": 5.0,
        "missing": 0.0,
        "left_out": 0.0,
        "skipped": 0.0,
        "age": 0.0,
    }


def test_streams_alone_are_expected_to_have_groups(lookout: Lookout) -> None:
    """Only of a discovered stream nobody said that it needs no reader (S01, G10)."""
    lookout.client.xadd("q:stream:permits", {"n": 1})
    (spec,) = lookout.go(lookout.scout(EVERYTHING)).added
    assert {"unread", "groups"} <= set(spec.config.offered())


def test_a_new_stream_and_a_new_group_are_found_in_the_next_round(lookout: Lookout) -> None:
    """It begins within 30 seconds."""
    scout = lookout.scout(EVERYTHING)
    assert names(lookout.go(scout)) == set()
    lookout.client.xadd("q:stream:new", {"n": 1})
    assert not scout.due(T0 + timedelta(seconds=29))
    assert scout.due(T0 + timedelta(seconds=30))
    assert names(lookout.go(scout, 30)) == {"discovered: q:stream:new"}
    lookout.client.xgroup_create("q:stream:new", "g")
    assert names(lookout.go(scout, 61)) == {"discovered: group g on q:stream:new"}


def test_what_vanished_is_missing_for_a_day_and_then_forgotten(lookout: Lookout) -> None:
    """Its signals stay, so that they can say so; its return is nothing new."""
    scout = lookout.scout(EVERYTHING)
    for name in ("q:stream:a", "q:stream:b"):
        lookout.client.xgroup_create(name, "g", mkstream=True)
    lookout.client.set("q:svc:trainer:beat", "1")
    assert len(lookout.go(scout).added) == 5
    lookout.client.flushall()
    assert lookout.go(scout, 60) == Discovered()
    assert figures(scout.reading(T0))["missing"] == 3.0
    lookout.client.xgroup_create("q:stream:a", "g", mkstream=True)
    assert lookout.go(scout, 120) == Discovered()
    gone = lost(lookout.go(scout, 60 + 86_400))
    assert gone == {"q:stream:b", "group g on q:stream:b", "q:svc:trainer:beat"}
    assert figures(scout.reading(T0))["found"] == 2.0


def test_the_next_process_knows_what_was_there(lookout: Lookout) -> None:
    """A stream that vanished while nobody looked is missing after the restart."""
    first = lookout.scout(EVERYTHING)
    lookout.client.xgroup_create("q:stream:a", "g", mkstream=True)
    lookout.go(first)
    lookout.client.flushall()
    second = lookout.scout(EVERYTHING)
    assert names(second.remember(first.memory())) == {
        "discovered: q:stream:a",
        "discovered: group g on q:stream:a",
    }
    assert lookout.go(second, 60) == Discovered()
    reading = second.reading(T0)
    assert reading is not None
    assert reading.evidence["missing"] == ["q:stream:a"]


# ---- gently --------------------------------------------------------------------------------------


def test_steps_are_small_and_a_round_is_spread_over_its_interval(lookout: Lookout) -> None:
    """50,000 other keys: no SCAN looks at more than 500, and from the second round on no tick at all of them."""
    lookout.client.eval("for i = 1, 50000 do redis.call('SET', 'other:' .. i, 'x') end", 0)
    lookout.client.xadd("q:stream:a", {"n": 1})
    scout = lookout.scout(EVERYTHING)
    lookout.go(scout)
    counts = {
        command[command.index("COUNT") + 1]
        for asked in lookout.asked
        for command in asked
        if command[0] == "SCAN"
    }
    assert counts == {500}
    lookout.asked.clear()

    async def ticks(ask: Ask) -> list[int]:
        asked = []
        for seconds in range(30, 60, 5):
            before = len(lookout.asked)
            await scout.step(ask, T0 + timedelta(seconds=seconds))
            asked.append(len(lookout.asked) - before)
        return asked

    asked = lookout.with_wire(ticks)
    assert sum(asked) > 90
    assert max(asked) <= 25
    assert not scout.due(T0 + timedelta(seconds=59))


def test_known_streams_are_asked_for_their_groups_once_a_round(lookout: Lookout) -> None:
    """A quiet round brings nothing; one in which a group came in the place of another tells of both."""
    for i in range(300):
        lookout.client.xgroup_create(f"q:stream:{i}", "g", mkstream=True)
    scout = lookout.scout(EVERYTHING)
    assert len(lookout.go(scout).added) == 600
    lookout.asked.clear()
    assert lookout.go(scout, 30) == Discovered()
    asked = [command[2] for commands in lookout.asked for command in commands if command[0] == "XINFO"]
    assert (len(asked), len(set(asked))) == (300, 300)
    assert max(len(commands) for commands in lookout.asked) <= 102
    lookout.client.xgroup_destroy("q:stream:7", "g")
    lookout.client.xgroup_create("q:stream:7", "h")
    assert names(lookout.go(scout, 60)) == {"discovered: group h on q:stream:7"}
    assert list(scout.roster.missing()) == ["g on q:stream:7"]


def test_a_reading_comes_only_with_news(lookout: Lookout) -> None:
    """Between two rounds there are none."""
    scout = lookout.scout(EVERYTHING)
    assert figures(scout.reading(T0)) == dict.fromkeys(("found", "left_out", "skipped", "age")) | {
        "missing": 0.0
    }
    assert scout.reading(T0) is None
    lookout.go(scout)
    assert scout.reading(T0) is not None
    assert scout.reading(T0) is None


# ---- what may happen meanwhile -------------------------------------------------------------------


def test_more_than_the_limit_is_told_and_not_held(lookout: Lookout) -> None:
    """1,500 streams with a group each, room for 100 signals."""
    pipe = lookout.client.pipeline(transaction=False)
    for i in range(1_500):
        pipe.xgroup_create(f"q:stream:{i}", "g", mkstream=True)
    pipe.execute()
    scout = lookout.scout('discover: {streams: "q:stream:*", limit: 100}')
    assert len(lookout.go(scout).added) == 100
    lookout.go(scout, 30)  # now all that is left out was met in one round
    said = figures(scout.reading(T0))
    assert said["found"] == 100.0
    assert said["left_out"] == pytest.approx(1_450, abs=1)  # the streams; of their groups nobody asked


def test_hostile_names_are_counted_and_left_alone(lookout: Lookout) -> None:
    """No text, steering signs, a megabyte: of streams, groups and heartbeats."""
    for name in (b"q:stream:\xff", b"q:stream:\x1b[2J", b"q:stream:" + b"x" * 1_000_000):
        lookout.client.xadd(name, {"n": 1})
    lookout.client.set(b"q:svc:\xff:beat", "1")
    for group in (b"\xff", b"\x00", b"y" * 1_000_000, b"good"):
        lookout.client.xgroup_create("q:stream:a", group, mkstream=True)
    scout = lookout.scout(EVERYTHING)
    assert names(lookout.go(scout)) == {"discovered: q:stream:a", "discovered: group good on q:stream:a"}
    assert figures(scout.reading(T0))["skipped"] == 4.0


def test_a_key_that_goes_between_scan_and_look_was_never_there(lookout: Lookout) -> None:
    """Deleted, or replaced by another type, right after SCAN told of it."""
    for name in ("q:stream:a", "q:stream:b", "q:stream:c"):
        lookout.client.xadd(name, {"n": 1})
    scout = lookout.scout(EVERYTHING)

    async def run(ask: Ask) -> Discovered:
        async def meddle(commands: Sequence[Command]) -> Sequence[Reply]:
            if any(command[0] == "XINFO" for command in commands):
                lookout.client.delete("q:stream:a", "q:stream:b")
                lookout.client.set("q:stream:b", "text")
            return await ask(commands)

        return await scout.whole_round(meddle, T0)

    assert names(lookout.with_wire(run)) == {"discovered: q:stream:c"}


def test_what_was_found_before_the_server_went_is_not_lost(lookout: Lookout) -> None:
    """The step fails, the next one begins anew and brings all."""
    for i in range(250):
        lookout.client.xadd(f"q:stream:{i}", {"n": 1})
    scout = lookout.scout(EVERYTHING)

    async def run(ask: Ask) -> Discovered:
        asked = 0

        async def flaky(commands: Sequence[Command]) -> Sequence[Reply]:
            nonlocal asked
            asked += 1
            if asked == 3:
                raise SourceDownError("Redis is away")
            return await ask(commands)

        with pytest.raises(SourceDownError):
            await scout.whole_round(flaky, T0)
        assert 0 < scout.roster.found < 250
        assert scout.due(T0 + timedelta(seconds=5))
        lookout.asked.clear()
        return await scout.whole_round(flaky, T0 + timedelta(seconds=5))

    assert len(names(lookout.with_wire(run))) == 250
    assert lookout.asked[0][0][:2] == ("SCAN", b"0")


REFUSALS = {
    "NOPERM this user has no permissions": "this Redis user may not SCAN, so nothing can be discovered"
    " (allow it: ACL SETUSER … +scan)",
    "ERR syntax error": "this Redis has no SCAN with TYPE, so nothing can be discovered (it needs Redis 6.0)",
    "ERR whatever": "the keys cannot be gone over: ERR whatever",
}


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.partition(" ")[2])
async def test_a_refusal_is_said_and_misses_nothing(refusal: str) -> None:
    """Discovery is unknown then; what is known stays known, and the next round tries again."""
    config = parse(EVERYTHING)
    scout = Scout(config.discover[0], config)
    scout.remember({"stream q:stream:a": [None, {}]})

    async def ask(commands: Sequence[Command]) -> Sequence[Reply]:
        return [Refused(refusal) for _ in commands]

    assert await scout.step(ask, T0) == Discovered()
    reading = scout.reading(T0)
    assert reading is not None
    assert (reading.known, reading.trouble) == (False, REFUSALS[refusal])
    assert list(scout.roster.missing()) == []
    assert not scout.due(T0 + timedelta(seconds=29))
    assert scout.due(T0 + timedelta(seconds=30))


def test_a_user_who_may_only_look_can_discover(lookout: Lookout) -> None:
    """SCAN and XINFO are all it takes; a stream that may not be read is watched, and unknown by itself."""
    lookout.client.xgroup_create("q:stream:a", "g", mkstream=True)
    lookout.client.xgroup_create("q:stream:secret", "g", mkstream=True)
    rights = ["+scan", "+xinfo|groups", "~q:stream:a"]
    lookout.client.execute_command("ACL", "SETUSER", "scout", "reset", "on", ">pw", *rights)  # type: ignore[no-untyped-call]
    url = lookout.url.replace("redis://", "redis://scout:pw@")
    try:
        scout = lookout.scout(EVERYTHING)
        restricted = Lookout(url, lookout.client)
        assert names(restricted.go(scout)) == {
            "discovered: q:stream:a",
            "discovered: group g on q:stream:a",
            "discovered: q:stream:secret",
        }
    finally:
        lookout.client.execute_command("ACL", "DELUSER", "scout")  # type: ignore[no-untyped-call]


async def test_a_key_that_scan_tells_twice_is_found_once() -> None:
    """While the table grows, SCAN repeats itself; in a cluster the cursor leads on to the next node."""
    config = parse(EVERYTHING)
    scout = Scout(config.discover[0], config)
    asked: list[object] = []

    async def ask(commands: Sequence[Command]) -> Sequence[Reply]:
        replies: list[Reply] = []
        for command in commands:
            if command[0] == "SCAN" and "stream" in command:
                asked.append(command[1])
                further = {b"0": b"17@a:1", b"17@a:1": b"0@b:2", b"0@b:2": b"0"}[command[1]]  # type: ignore[index]
                replies.append([further, [b"q:stream:a", b"q:stream:a"]])
            elif command[0] == "SCAN":
                replies.append([b"0", [b"q:svc:x:beat", b"q:svc:x:beat"]])
            else:
                replies.append([])
        return replies

    found = await scout.whole_round(ask, T0)
    assert [named(spec.key) for spec in found.added] == ["q:svc:x:beat", "q:stream:a"]
    assert asked == [b"0", b"17@a:1", b"0@b:2"]


def test_several_patterns_are_looked_for_in_few_walks(lookout: Lookout) -> None:
    """Streams by their type in one; string keys, of which there may be millions, by each pattern."""
    lookout.client.xadd("orders:s", {"n": 1})
    lookout.client.xadd("trades:s", {"n": 1})
    lookout.client.mset({"orders:beat": "1", "trades:beat": "1", "cats:beat": "1"})
    scout = lookout.scout(
        "discover: {streams: ['orders:*', 'trades:*'], heartbeats: ['{service}:beat', 'orders:be*']}"
    )
    found = names(lookout.go(scout))
    assert found == {
        "discovered: orders:s",
        "discovered: trades:s",
        "orders: orders:beat",
        "trades: trades:beat",
        "cats: cats:beat",
    }
    scans = [command[2:-2] for command in lookout.asked[0] if command[0] == "SCAN"]
    assert scans == [
        ("TYPE", "stream"),
        ("MATCH", b"?*:beat", "TYPE", "string"),
        ("MATCH", b"orders:be*", "TYPE", "string"),
    ]


def test_a_server_that_is_away_is_an_error_of_the_wire(lookout: Lookout) -> None:
    """The scout does not hide it: whoever looks knows what that means."""
    scout = lookout.scout(EVERYTHING)
    nowhere = Lookout("redis://127.0.0.1:1/0", redis.Redis())
    with pytest.raises(SourceDownError):
        nowhere.go(scout)
    assert scout.due(T0)
