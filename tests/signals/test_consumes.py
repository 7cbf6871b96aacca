"""Consumer groups: what Redis says in each situation of the incident, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.drawn import T0, ids, rows
from tests.signals.conftest import Bench, signal_of, steps
from watchdog.model import AtLeast, Reading, as_of
from watchdog.signals.base import RedisSignal


def group(stream: str = "s", name: str = "g") -> RedisSignal[Any]:
    """Return the signal for group *name* on *stream*."""
    return signal_of("consumes", stream=stream, group=name)


def create(bench: Bench, at: str = "0", name: str = "g") -> None:
    """Create the group at *at*, and the stream if need be."""
    bench.client.xgroup_create("s", name, at, mkstream=True)


def read(bench: Bench, count: int | None = None, *, consumer: str = "host_1", ack: bool = True) -> None:
    """Deliver up to *count* entries to *consumer*, acknowledged if *ack*."""
    reply: Any = bench.client.xreadgroup("g", consumer, {"s": ">"}, count=count)
    delivered = [entry_id for _, entries in reply for entry_id, _ in entries]
    if ack and delivered:
        bench.client.xack("s", "g", *delivered)


def said(readings: Sequence[Reading], *names: str) -> list[tuple[object, ...]]:
    """Return the named values of each reading."""
    return [tuple(as_of(found.values[name], found.at) for name in names) for found in readings]


def each(readings: Sequence[Reading], name: str) -> list[float]:
    """Return by how much a counter gained with each of *readings*; one that was there before says no more."""
    new = [i == 0 or reading is not readings[i - 1] for i, reading in enumerate(readings)]
    return [steps(reading, name) if is_new else 0 for reading, is_new in zip(readings, new, strict=True)]


# ---- the table "What Redis says" ---------------------------------------------------------------


def test_made_at_the_end_and_never_read(bench: Bench) -> None:
    """Redis says lag 0, then NULL as soon as an entry arrives; the position tells that exactly one waits."""
    bench.add("s", -30, -20)
    create(bench, "$")
    signal = group()
    before = bench.look(signal)
    bench.add("s", 10)
    after = bench.looks(signal, 20, 80)
    assert said([before, *after], "lag", "provenance", "behind", "verdict") == [
        (0.0, "reported", 0.0, "ok"),
        (1.0, "reported", 10.0, "ok"),
        (1.0, "reported", 70.0, "unread"),
    ]
    assert [found.known for found in (before, *after)] == [True, True, True]
    assert after[0].evidence["redis_lag"] == "NULL"


def test_position_set_to_the_end(bench: Bench) -> None:
    """XGROUP SETID `$` makes entries-read NULL; what had waited is skipped, not lost."""
    bench.add("s", -30, -20, -10)
    create(bench)
    read(bench, 1)
    bench.add("s", 1)
    signal = group()
    bench.look(signal, 5)
    bench.client.execute_command("XGROUP", "SETID", "s", "g", "$")  # type: ignore[no-untyped-call]
    at_end = bench.look(signal, 10)
    bench.add("s", 11)
    bench.client.xdel("s", bench.id(-20))
    waiting = bench.look(signal, 80)
    assert said([at_end, waiting], "lag", "behind", "verdict") == [(0.0, 0.0, "ok"), (1.0, 69.0, "stalled")]
    assert waiting.counts["read", ""].since == at_end.at  # how many were skipped by hand nobody tells
    assert steps(waiting, "lost") == 0


def test_deletes_what_it_has_read(bench: Bench) -> None:
    """Some queue libraries do: nothing is lost, and a NULL lag stays unknown although the position is fine."""
    bench.add("s", -50, -40, -30, -20)
    create(bench)
    read(bench, 2)
    bench.client.xdel("s", bench.id(-40))
    signal = group()
    found = bench.look(signal)
    bench.client.xdel("s", bench.id(-50))
    read(bench)
    bench.client.xdel("s", bench.id(-30), bench.id(-20))
    emptied = bench.look(signal, 10)
    assert said([emptied], "behind", "pending", "verdict") == [(0.0, 0.0, "ok")]
    assert (steps(found, "lost"), steps(emptied, "lost")) == (0, 0)


def test_a_tombstone_ahead_has_the_backlog_counted(bench: Bench) -> None:
    """An unread entry was deleted: Redis cannot tell any more, so the entries are counted."""
    bench.add("s", -60, -50, -40, -30, -20)
    create(bench)
    read(bench, 2)
    bench.client.xdel("s", bench.id(-30))
    found = bench.look(group())
    assert said([found], "lag", "provenance", "behind") == [(2, "counted", 40)]


def test_delivered_and_never_acknowledged(bench: Bench) -> None:
    """Lag 0 is half the truth; more pending than the stream holds is stuck, also after trimming."""
    pipe = bench.client.pipeline(transaction=False)
    for i in range(1000):
        pipe.xadd("s", {"n": "1"}, id=bench.id(-1000 + i))
    pipe.execute()
    create(bench)
    read(bench, ack=False)
    signal = group()
    before = bench.look(signal)
    bench.client.xtrim("s", maxlen=100, approximate=False)
    after = bench.look(signal, 1)
    assert said([before, after], "lag", "pending", "oldest_pending", "verdict") == [
        (0.0, 1000.0, 1000.0, "ok"),
        (0.0, 1000.0, 1001.0, "stuck"),
    ]
    assert after.evidence["oldest_pending_id"] == bench.id(-1000)
    assert steps(after, "lost") == 0


def test_never_read_and_trimmed(bench: Bench) -> None:
    """1,008 added with MAXLEN 100: Redis says lag 100, we say that 908 are lost, if we saw the group before."""
    create(bench)
    signal, late = group(), group()
    before = bench.look(signal)
    pipe = bench.client.pipeline(transaction=False)
    for i in range(1008):
        pipe.xadd("s", {"n": "1"}, id=bench.id(-1008 + i), maxlen=100, approximate=False)
    pipe.execute()
    first = bench.look(signal)
    bench.client.xadd("s", {"n": "1"}, id=bench.id(1), maxlen=100, approximate=False)
    second = bench.look(signal, 5)
    assert said([first, second], "lag", "behind", "verdict") == [(100, 100, "unread"), (100, 104, "unread")]
    assert each([before, first, second], "lost") == [0, 908, 1]
    assert second.evidence["lost"] == 909
    bench.seen.clear()
    found = bench.look(late, 6)
    assert (steps(found, "lost"), found.evidence["perhaps_lost"]) == (
        0,
        "up to 909, if the group was there before they were trimmed",
    )


def test_trimmed_past_its_position(bench: Bench) -> None:
    """The loss is gone from XINFO with the next read; we counted it, once, and go on counting right."""
    create(bench)
    bench.add("s", -50, -40, -30, -20, -10)
    read(bench, 1)
    signal = group()
    found = [bench.look(signal)]
    bench.client.xtrim("s", maxlen=1, approximate=False)
    found += bench.looks(signal, 5, 10)
    read(bench)
    found.append(bench.look(signal, 15))
    bench.add("s", 16)
    bench.client.xtrim("s", maxlen=1, approximate=False)  # what was read goes, what was not stays
    found.append(bench.look(signal, 20))
    bench.add("s", 21, 22, 23)
    bench.client.xtrim("s", maxlen=1, approximate=False)  # 16, 21 and 22 go unread
    found.append(bench.look(signal, 25))
    assert each(found, "lost") == [0, 3, 0, 0, 0, 3]
    assert [reading.evidence.get("lost") for reading in found] == [None, 3, 3, 3, 3, 6]
    assert [reading.values["verdict"] for reading in found[:4]] == ["ok", "lost", "lost", "lost"]


def test_nothing_ahead_is_lag_0_although_redis_miscounts(bench: Bench) -> None:
    """Redis issues 13337 and 13957: a lag of 3 with none left to read."""
    create(bench)
    bench.add("s", -50, -40, -30, -20, -10)
    read(bench, 1)
    bench.client.xtrim("s", maxlen=1, approximate=False)
    read(bench)
    (told,) = bench.client.xinfo_groups("s")
    assert told["lag"] == (0 if bench.name == "Valkey 9" else 3)
    found = bench.look(group())
    assert said([found], "lag", "behind", "verdict") == [(0.0, 0.0, "ok")]


def test_all_that_waited_was_trimmed_away(bench: Bench) -> None:
    """Lost, but nothing waits: the group cannot be blamed for not moving on."""
    create(bench)
    bench.add("s", -500, -400, -300)
    read(bench, 1)
    signal = group()
    bench.look(signal)
    bench.client.xtrim("s", maxlen=0, approximate=False)
    found = bench.looks(signal, 60, 120, 500)
    assert said(found, "lag", "behind", "verdict") == [(0, 0, "lost"), (0, 0, "lost"), (0, 0, "ok")]
    assert each(found, "lost") == [2, 0, 0]


def test_a_loss_survives_a_pause_and_a_missing_group(bench: Bench) -> None:
    """Looks ten minutes apart, and a group that was away meanwhile, count nothing twice."""
    create(bench)
    bench.add("s", -50, -40, -30)
    read(bench, 1)
    bench.client.xtrim("s", maxlen=1, approximate=False)
    signal = group()
    found = list(bench.looks(signal, 0, 600, 1200))
    bench.client.xgroup_destroy("s", "g")
    bench.look(signal, 1800)
    create(bench)
    found += bench.looks(signal, 2400, 3000)
    assert each(found, "lost") == [1, 0, 0, 0, 0]


def test_a_group_made_anew_on_a_capped_stream_lost_nothing(bench: Bench) -> None:
    """S04: what was gone before it was set back to 0 was not taken from it."""
    bench.add("s", -50, -40, -30, -20)
    bench.client.xtrim("s", maxlen=2, approximate=False)
    create(bench)
    read(bench)
    signal = group()
    bench.look(signal)
    bench.client.execute_command("XGROUP", "SETID", "s", "g", "0")  # type: ignore[no-untyped-call]
    found = bench.look(signal, 5)
    assert (found.values["verdict"], steps(found, "lost")) == ("rewound", 0)


def test_a_pending_entry_whose_body_is_gone(bench: Bench) -> None:
    """S09: XPENDING counts it; it ages, and its delivery count is still told."""
    create(bench)
    bench.add("s", -50, -40)
    read(bench, ack=False)
    bench.client.xdel("s", bench.id(-50))
    found = bench.look(group())
    assert said([found], "pending", "oldest_pending", "deliveries") == [(2, 50, 1)]


def test_a_negative_lag_is_counted(bench: Bench) -> None:
    """Redis issue 14257: ENTRIESREAD was set too high."""
    bench.add("s", -60, -50, -40, -30)
    command = ("XGROUP", "CREATE", "s", "g", bench.id(-50), "ENTRIESREAD", 100)
    bench.client.execute_command(*command)  # type: ignore[no-untyped-call]
    found = bench.look(group())
    assert said([found], "lag", "provenance", "behind") == [(2, "counted", 40)]
    assert found.evidence["redis_lag"] == -96


def test_idle_is_since_the_last_success(bench: Bench) -> None:
    """From 7.2 on `idle` is the last attempt: a consumer that polls in vain is still idle since it read."""
    create(bench)
    bench.add("s", -50)
    read(bench)
    signal = group()
    bench.look(signal)
    read(bench)  # in vain
    (told,) = bench.client.xinfo_consumers("s", "g")
    assert ("inactive" in told) is bench.inactive_told
    ((idle,),) = said([bench.look(signal, 300)], "idle")
    assert isinstance(idle, AtLeast)
    assert idle.number == pytest.approx(300)


def test_a_consumer_that_never_succeeded(bench: Bench) -> None:
    """`inactive` is -1 from 7.2 on: never, which is not "just now"."""
    create(bench)
    bench.client.xgroup_createconsumer("s", "g", "host_1")
    ((idle,),) = said([bench.look(group())], "idle")
    assert isinstance(idle, AtLeast)
    assert 0 <= idle.number < 5


# ---- what is missing ---------------------------------------------------------------------------


def test_no_such_stream(bench: Bench) -> None:
    """A stream nobody made is a verdict, not a failed look."""
    found = bench.look(group())
    assert (found.values, found.trouble) == ({"verdict": "missing"}, None)
    assert found.evidence == {"missing": "there is no such stream"}


def test_no_such_group(bench: Bench) -> None:
    """A stream without our group says which groups there are."""
    create(bench, name="router")
    create(bench, name="governor")
    found = bench.look(group())
    assert found.values == {"verdict": "missing"}
    assert found.evidence == {"missing": "there is no such group", "groups": "governor, router"}


def test_no_stream_but_a_string(bench: Bench) -> None:
    """Another type is trouble: nothing can be told of a group."""
    bench.client.set("s", "1")
    assert bench.look(group()).trouble == 'stream "s" is of another type (ask: redis-cli TYPE)'


def test_one_name_on_two_streams(bench: Bench) -> None:
    """The same group name stands on two streams, and each is its own signal."""
    create(bench)
    bench.client.xgroup_create("t", "g", "0", mkstream=True)
    bench.client.xadd("t", {"n": "1"}, id=bench.id(-70))
    assert said([bench.look(group("s")), bench.look(group("t"))], "lag", "verdict") == [
        (0, "ok"),
        (1, "unread"),
    ]


# ---- who does not work -------------------------------------------------------------------------


def test_no_consumers(bench: Bench) -> None:
    """Somebody read here once; now entries wait and nobody is there."""
    create(bench)
    bench.add("s", -200)
    read(bench)
    bench.client.xgroup_delconsumer("s", "g", "host_1")
    bench.add("s", -59)
    signal = group()
    assert said(bench.looks(signal, 0, 1), "consumers", "behind", "verdict") == [
        (0, 59, "ok"),
        (0, 60, "no_consumers"),
    ]


def test_stalled(bench: Bench) -> None:
    """A consumer that is there and does not move: a minute of patience, from when we first looked."""
    create(bench)
    bench.add("s", -100)
    read(bench)
    bench.add("s", -90, -80)
    signal = group()
    found = bench.looks(signal, 0, 30, 59, 60)
    assert [reading.values["verdict"] for reading in found] == ["ok", "ok", "ok", "stalled"]
    assert said(found[-1:], "lag", "behind", "consumers") == [(2, 150, 1)]
    assert said(found[-1:], "idle") == [(AtLeast(60),)]
    read(bench)
    assert said([bench.look(signal, 65)], "lag", "idle", "verdict") == [(0, 0, "ok")]
    bench.add("s", 66)
    found = bench.looks(signal, 70, 125, 126)
    assert [reading.values["verdict"] for reading in found] == ["ok", "ok", "stalled"]


def test_stalled_stays_stalled_when_trimming_reaches_it(bench: Bench) -> None:
    """A dead group is still dead once it loses entries: its alert must not resolve."""
    create(bench)
    bench.add("s", -100)
    read(bench)
    signal = group()
    verdicts = []
    for seconds in range(0, 180, 30):
        bench.client.xadd("s", {"n": "1"}, id=bench.id(seconds - 90), maxlen=2, approximate=False)
        verdicts.append(bench.look(signal, seconds).values["verdict"])
    assert verdicts[2:] == ["stalled"] * 4
    assert bench.look(signal, 180).evidence["lost"] == 4


def test_a_stream_whose_ids_lie_in_the_future(bench: Bench) -> None:
    """Entries wait from when they were first seen to."""
    create(bench)
    bench.client.xadd("s", {"n": "1"}, id="1771359991000000-0")
    signal = group()
    found = [(at, bench.look(signal, at)) for at in (0, 30, 60)]
    assert [(as_of(r.values["behind"], bench.after(at)), r.values["verdict"]) for at, r in found] == [
        (0, "ok"),
        (30, "ok"),
        (60, "unread"),
    ]


def test_poison(bench: Bench) -> None:
    """One entry is claimed again and again; the evidence names it and who holds it."""
    create(bench)
    bench.add("s", -50, -40)
    read(bench, ack=False)
    for i in range(4):
        bench.client.xclaim("s", "g", f"host_{i}", 0, [bench.id(-50)])
    found = bench.look(group())
    assert said([found], "deliveries", "verdict") == [(5, "poison")]
    assert found.evidence["delivered_most"] == f"{bench.id(-50)}, 5 times, held by host_3"


CONSUMERS = """
  XINFO CONSUMERS says                  | ghost
  pending=1 idle=3600001                | yes
  pending=1 idle=3600000                | no
  pending=0 idle=3600001                | no
  pending=1 idle=5 inactive=3600001     | yes
  pending=1 idle=5 inactive=3600000     | no
  pending=1 idle=3600001 inactive=-1    | yes
  pending=1 idle=5 inactive=-1          | no
"""


@pytest.mark.parametrize(("says", "ghost"), rows(CONSUMERS), ids=ids(CONSUMERS))
def test_ghosts(says: str, ghost: str) -> None:
    """S05: idle for over an hour and still holding entries; from 7.2 on `inactive` tells it, -1 is never."""
    pairs = [pair.split("=") for pair in says.split()]
    consumer = [b"name", b"host_1", *(x for name, n in pairs for x in (name.encode(), int(n)))]
    facts = b"length 1 groups 1 radix-tree-keys 1 radix-tree-nodes 1 entries-added 1".split()
    info = [
        *facts,
        b"max-deleted-entry-id",
        b"0-0",
        b"last-generated-id",
        b"1-0",
        b"first-entry",
        [b"1-0", []],
        b"last-entry",
        [b"1-0", []],
    ]
    words = b"name g consumers 1 pending 1 last-delivered-id 1-0 entries-read 1 lag 0".split()
    told = [int(word) if word.isdigit() else word for word in words]
    looking = group().look(T0)
    next(looking)
    asked = looking.send([info, [told]])
    assert [command[:2] for command in asked] == [
        ("XPENDING", "s"),
        ("XPENDING", "s"),
        ("XINFO", "CONSUMERS"),
    ]
    with pytest.raises(StopIteration) as done:
        looking.send([[[b"1-0", b"host_1", 5, 1]], [1, b"1-0", b"1-0", []], [consumer]])
    reading = done.value.value
    assert reading.values["ghosts"] == (1 if ghost == "yes" else 0)
    assert reading.evidence.get("ghosts") == (["host_1 (1)"] if ghost == "yes" else None)


def test_fresh_consumers_are_no_ghosts(bench: Bench) -> None:
    """Both servers' own rows are understood: three consumers, two of them hold an entry."""
    create(bench)
    bench.add("s", -9000, -8000, -7000)
    read(bench, 1, consumer="host_1", ack=False)
    read(bench, 1, consumer="host_2", ack=False)
    read(bench, 1, consumer="host_3")
    assert said([bench.look(group())], "consumers", "ghosts", "pending") == [(3, 0, 2)]


def test_reads_are_counted_once(bench: Bench) -> None:
    """What was read before the first look is no news."""
    create(bench)
    bench.add("s", -50, -40, -30, -20, -10)
    read(bench, 2)
    signal = group()
    found = [bench.look(signal)]
    read(bench, 2)
    found += bench.looks(signal, 5, 10)
    read(bench, 1)
    found.append(bench.look(signal, 700))
    assert each(found, "read") == [0, 2, 0, 1]


def test_catching_up(bench: Bench) -> None:
    """S19: far behind but fewer with each look: an estimate, not an alert."""
    create(bench)
    for i in range(100):
        bench.client.xadd("s", {"n": "1"}, id=bench.id(-1000 + i))
    signal = group()
    found = []
    for seconds in range(0, 60, 10):
        read(bench, 10)
        found.append(bench.look(signal, seconds))
    assert said(found[-1:], "lag", "verdict", "catch_up") == [(40, "catching_up", 40)]
    assert "time_to_loss" not in found[-1].values


def test_losing_soon(bench: Bench) -> None:
    """S20: the backlog grows in a window that does not: 50 entries of room at 1 a second."""
    create(bench)
    for i in range(100):
        bench.client.xadd("s", {"n": "1"}, id=bench.id(-200 + i))
    read(bench)
    for i in range(10):
        bench.client.xadd("s", {"n": "1"}, id=bench.id(-50 + i), maxlen=100, approximate=False)
    signal = group()
    found = []
    for seconds in range(0, 50, 10):
        for i in range(10):
            entry = bench.id(seconds - 10 + i)
            bench.client.xadd("s", {"n": "1"}, id=entry, maxlen=100, approximate=False)
        read(bench, 1)
        found.append(bench.look(signal, seconds))
    assert said(found[-1:], "lag", "verdict") == [(55, "losing_soon")]
    assert found[-1].values["time_to_loss"] == pytest.approx(45 / 0.9)


# ---- healthy -----------------------------------------------------------------------------------


def test_an_event_driven_stream_empty_for_weeks(bench: Bench) -> None:
    """S22: a group, no consumer, never an entry: normal."""
    create(bench)
    found = bench.looks(group(), 0, 86400, 14 * 86400)
    assert said(found, "lag", "behind", "pending", "verdict") == [(0, 0, 0, "ok")] * 3


def test_a_dead_stream_is_its_producers_fault(bench: Bench) -> None:
    """S23: all read, all acknowledged, nothing new for eight days."""
    create(bench)
    bench.add("s", -8 * 86400)
    read(bench)
    found = bench.looks(group(), 0, 3600)
    assert said(found, "lag", "behind", "verdict") == [(0, 0, "ok")] * 2


def test_a_burst_after_a_quiet_night(bench: Bench) -> None:
    """Consumers were idle because nothing came; the burst that has just come is no stall."""
    create(bench)
    bench.add("s", -30000)
    read(bench)
    signal = group()
    bench.looks(signal, 0, 300, 600)
    bench.add("s", 880, 885, 890)
    found = [bench.look(signal, 900)]
    read(bench)
    found.append(bench.look(signal, 905))
    assert said(found, "lag", "verdict") == [(3, "ok"), (0, "ok")]
