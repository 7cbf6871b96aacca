"""Streams seen from their producers' side: what was added, how old it is, what it holds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import count
from multiprocessing import get_context
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from redis import Redis

from tests.drawn import ids, rows
from tests.groups.wire import SERVERS, Wire
from tests.signals.conftest import Bench, signal_of, steps
from tests.signals.watching import Watcher, since, values
from watchdog.builtin import BUILTIN
from watchdog.conditions import Truth, compare, look_up, parse_condition
from watchdog.demo.server import EmbeddedServer, start_server
from watchdog.entries import ORIGIN, EntryId
from watchdog.facts import StreamFacts
from watchdog.history import History
from watchdog.model import AtLeast, Reading, Value
from watchdog.signals.base import LONGEST_REST
from watchdog.signals.stream import Stream, StreamConfig, share_out
from watchdog.units import EPOCH, rfc3339

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module", params=list(SERVERS))
def redis_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, EmbeddedServer]]:
    """Each of three servers, one a module; the oldest counts nothing itself."""
    name = str(request.param)
    with start_server(SERVERS[name].binary()) as started:
        yield name, started


def counts(bench: Bench) -> bool:
    """Say whether the server counts what is added, as it does from 7.0 on."""
    return SERVERS[bench.name].counts


def test_the_facts_of_a_stream(bench: Bench) -> None:
    """Three entries, the newest 10 seconds old, the oldest 90; none was ever removed."""
    bench.add("s", -90, -30, -10)
    found = Watcher(bench, expect_every="5s").look()
    told = {"capped": 0} if counts(bench) else {}
    known = {"length": 3, "age": 10, "overdue": 2, "expected": 5, "retained": 90, "groups": 0, **told}
    assert values(found) == known
    assert values(found, bench.after(50)) == {**values(found), "age": 60, "overdue": 12, "retained": 140}
    assert dict(found.evidence) == {"newest": bench.id(-10)}
    assert (steps(found, "added"), since(found)) == (3, EPOCH if told else bench.after(-90))
    assert found.facts is not None


def test_a_trimmed_stream_is_capped(bench: Bench) -> None:
    """What is gone was added all the same, but nobody knows when: seen from the oldest kept on."""
    bench.add("s", -90, -30, -10)
    bench.client.xtrim("s", maxlen=2, approximate=False)
    found = Watcher(bench).look()
    told = {"capped": 1} if counts(bench) else {}
    assert values(found) == {"length": 2, "age": 10, "retained": 30, "groups": 0, **told}
    assert (steps(found, "added"), since(found)) == (2, bench.after(-30))


def test_a_stream_never_used_is_as_old_as_it_is_watched(bench: Bench) -> None:
    """A group was made, an entry never came: at least that old, in the next process too."""
    bench.client.xgroup_create("s", "g", mkstream=True)
    first = Watcher(bench, expect_every="10s")
    found = first.look()
    told = {"capped": 0} if counts(bench) else {}
    overdue = {"overdue": AtLeast(0), "expected": 10}
    assert values(found) == {"length": 0, "age": AtLeast(0), **overdue, "groups": 1, **told}
    assert first.tick(60) is None
    assert values(found, bench.after(60))["overdue"] == AtLeast(6)
    assert (steps(found, "added"), since(found)) == (0, EPOCH)
    later = Watcher(bench, expect_every="10s")
    later.signal.remember(first.signal.memory())
    assert values(later.look(600))["age"] == AtLeast(600)


@pytest.mark.parametrize("expect_every", [None, "10s"], ids=["no gap yet", "nothing to learn"])
def test_nothing_is_remembered_of_a_stream_that_was_used(bench: Bench, expect_every: str | None) -> None:
    """Its IDs tell how old it is."""
    bench.add("s", *([-10] if expect_every is None else [-20, -10]))
    watcher = Watcher(bench, expect_every=expect_every)
    watcher.look()
    assert watcher.signal.memory() == {}


def test_an_emptied_stream_remembers_its_newest(bench: Bench) -> None:
    """Consumers that delete what they read leave the last ID behind, and nothing came after it."""
    bench.add("s", -90, -20)
    bench.client.xdel("s", bench.id(-90), bench.id(-20))
    found = Watcher(bench).look()
    told = {"capped": 1} if counts(bench) else {}
    assert values(found) == {"length": 0, "age": 20, "groups": 0, **told}
    assert (steps(found, "added"), since(found)) == (0, bench.after(-20))


def test_a_missing_stream_is_unknown(bench: Bench) -> None:
    """No stream is no length of 0."""
    found = Watcher(bench).look()
    assert (found.trouble, found.values) == ('stream "s" does not exist', {})


def test_a_stream_of_another_type(bench: Bench) -> None:
    """WRONGTYPE is an answer."""
    bench.client.set("s", "1")
    assert Watcher(bench).look().trouble == 'stream "s" is of another type (ask: redis-cli TYPE)'


def test_an_id_from_the_future_still_ages(bench: Bench) -> None:
    """Microseconds given as an ID push all later IDs there too: age counts from when it was first seen."""
    bench.client.xadd("s", {"n": "1"}, id="1771359991000000-0")
    watcher = Watcher(bench, expect_every="10s")
    found = watcher.look()
    assert [values(found, bench.after(at))["age"] for at in (0, 60, 120)] == [0, 60, 120]
    bench.client.xadd("s", {"n": "2"})
    assert values(watcher.look(180), bench.after(190))["age"] == 10


READ_BY = """
  groups | unread
  -      | 1
  g      | 0
  g h    | 0
"""


@pytest.mark.parametrize(("groups", "unread"), rows(READ_BY), ids=ids(READ_BY))
def test_somebody_must_read_it(bench: Bench, groups: str, unread: str) -> None:
    """Producer and consumer may use two names for one stream: then nobody has a group on this one."""
    bench.add("s", -10)
    watcher = Watcher(bench, expect_groups=True)
    names = [name for name in groups.split() if name != "-"]
    for name in names:
        bench.client.xgroup_create("s", name)
    found = watcher.look()
    assert (found.values["groups"], found.values["unread"]) == (len(names), float(unread))


def test_a_group_that_comes_and_goes_is_seen(bench: Bench) -> None:
    """With the next tick, though no entry came."""
    bench.add("s", -10)
    watcher = Watcher(bench, expect_groups=True)
    unread = [watcher.look().values["unread"]]
    bench.client.xgroup_create("s", "g")
    unread.append(watcher.look(5).values["unread"])
    bench.client.xgroup_destroy("s", "g")
    unread.append(watcher.look(10).values["unread"])
    assert unread == [1, 0, 1]


# ---- at rest -----------------------------------------------------------------------------------


def test_a_quiet_stream_says_nothing(bench: Bench) -> None:
    """Not when it is looked at, nor when its rest ends; and nothing but the one question is asked."""
    bench.add("s", -2)
    watcher = Watcher(bench)
    watcher.look()
    ends = watcher.signal.wake_at
    assert [watcher.tick(5.0 * i) for i in range(130)] == [None] * 130
    assert watcher.signal.wake_at > ends
    assert watcher.asked == []


def test_an_active_stream_is_not_read(bench: Bench) -> None:
    """How many entries came is told by Redis' own count of them."""
    bench.add("s", -10)
    watcher = Watcher(bench)
    watcher.look()
    bench.add("s", 1, 2, 3)
    found = watcher.look(5)
    assert (steps(found, "added"), values(found)["age"]) == (3, 2)
    assert watcher.asked == (
        [] if counts(bench) else [("XRANGE", "s", f"({bench.id(-10)}", bench.id(3), "COUNT", 500)]
    )
    assert watcher.tick(10) is None


def test_a_rest_ends_in_time_and_not_with_those_of_all_others() -> None:
    """A thousand streams are looked at whole within one rest, a few at a time."""
    rest = LONGEST_REST.total_seconds()
    entry = EntryId(1000, 0)
    facts = StreamFacts(
        length=1,
        generated=entry,
        first=entry,
        last=entry,
        added=1,
        deleted=None,
        groups=0,
        radix_keys=1,
        radix_nodes=2,
    )
    ends = []
    for i in range(1000):
        signal = signal_of("stream", key=f"s{i}")
        assert isinstance(signal, Stream)
        list(signal.look_on(EPOCH + HOUR, [facts]))
        ends.append(signal.wake_at - HOUR.total_seconds())
    assert 0 < min(ends) < max(ends) <= rest
    busiest = max(sum(at <= end < at + 5 for end in ends) for at in range(0, int(rest), 5))
    assert busiest < 1000 / (rest / 5) * 2.5


@pytest.mark.parametrize("why", ["said to be down", "said to be missing"])
def test_it_speaks_again_when_something_else_was_said_of_it(bench: Bench, why: str) -> None:
    """Its facts are the same as before, but what was said last is not."""
    bench.add("s", -10)
    watcher = Watcher(bench)
    watcher.look()
    if why == "said to be down":
        watcher.signal.wake_at = 0.0
    else:
        kept: Any = bench.client.dump("s")
        bench.client.delete("s")
        assert watcher.look(5).trouble == 'stream "s" does not exist'
        bench.client.restore("s", 0, kept)
    found = watcher.look(10)
    assert (found.trouble, values(found)["length"], steps(found, "added")) == (None, 1, 0)
    assert watcher.tick(15) is None


def test_a_first_look_cut_short_is_made_again(bench: Bench) -> None:
    """Redis goes away before the entries come: what was not told is told by the next look."""
    bench.add("s", -30, -20, -10)
    watcher = Watcher(bench)
    watcher.cut_short(0)
    assert steps(watcher.look(5), "added") == 3


def bytes_of_a_signal() -> float:
    """What one of a thousand costs: itself, the facts it knows, the reading in force; its key and its keys aside."""
    built = [signal_of("stream", key=f"s{i}", expect_every="10s") for i in range(1_000)]
    kept = []
    tracemalloc.start()
    for i, other in enumerate(built):
        signal = Stream(other.key, other.config, HOUR)
        for now in (EPOCH + HOUR, EPOCH + HOUR + timedelta(seconds=5)):
            newest, first = EntryId(int(now.timestamp() * 1000) + i, 0), EntryId(1000 + i, 0)
            facts = StreamFacts(
                length=1000 + i,
                generated=newest,
                first=first,
                last=newest,
                added=newest.ms,
                deleted=ORIGIN,
                groups=3,
                radix_keys=1000 + i,
                radix_nodes=2000 + i,
            )
            signal.fill = 0
            look = signal.look_on(now, [facts])
            with pytest.raises(StopIteration) as done:
                next(look)
        kept.append((signal, done.value.value))
    taken = tracemalloc.take_snapshot()
    places = ("*/watchdog/*", __file__, "<string>")
    ours = taken.filter_traces([tracemalloc.Filter(True, place) for place in places])
    return sum(trace.size for trace in ours.traces) / len(kept)


def test_thousands_fit_into_memory() -> None:
    """In a process of its own: instances share their keys only until a test has set attributes in another order."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        assert 1_000 < fresh.submit(bytes_of_a_signal).result() < 1_500


# ---- what came before the first look -----------------------------------------------------------


def added(watcher: Watcher, reading: Reading, window: float) -> Value:
    """Return what was added in the last *window* seconds before *reading*."""
    history = History(HOUR).add([reading])
    return history.increase(watcher.signal.key, "added", timedelta(seconds=window), reading.at)


REMEMBERED = """
  entries, seconds before | fetched | window | added | asked
  3000 120 60             | 20      | 90     | 1     | 1
  3000 120 60             | 20      | 3600   | 3     | 1
  3000 120 60             | 2       | 90     | 1     | 1
  3000 120 60             | 2       | 119    | 1     | 1
  3000 120 60             | 2       | 130    | 2+    | 1
  3000 120 60             | 2       | 3500   | 3+    | 1
  3000 120 60             | 0       | 90     | 1+    | 0
  3000 120 60             | 0       | 59     | 0     | 0
  3000 120 60             | 0       | 3500   | 3+    | 0
  9000 8000 7000          | 20      | 3600   | 0     | 1
  9000 8000 60            | 20      | 3500   | 1     | 1
  9000 8000 60            | 20      | 3600   | 1     | 1
  9000                    | 20      | 3600   | 0     | 0
  50 40                   | 20      | 45     | 1     | 0
  50 40                   | 0       | 60     | 2     | 0
"""


@pytest.mark.parametrize(
    ("entries", "fill", "window", "told"),
    [(e, f, w, (added, asked)) for e, f, w, added, asked in rows(REMEMBERED)],
    ids=ids(REMEMBERED),
)
def test_a_window_of_the_past_is_filled(
    bench: Bench, entries: str, fill: str, window: str, told: tuple[str, str]
) -> None:
    """IDs carry time; what was not fetched is a bound (`+`). What lies before the window tells usual gaps."""
    bench.add("s", *(-float(at) for at in entries.split()))
    watcher = Watcher(bench)
    watcher.signal.fill = int(fill)
    found = added(watcher, watcher.look(), float(window))
    expected, asked = told
    oldest = max(map(float, entries.split()))
    unsure = expected.endswith("+") or (float(window) > oldest and not counts(bench))  # what came before?
    number = float(expected.rstrip("+"))
    assert found == (AtLeast(number) if unsure else number)
    assert len(watcher.asked) == int(asked)


def test_deleting_out_of_the_midst_uncovers_what_came_before(bench: Bench) -> None:
    """What a consumer deleted after the oldest kept entry was added, and cannot be counted."""
    bench.add("s", -90, -60, -30, -10)
    bench.client.xdel("s", bench.id(-30))
    uncovered = -30 if counts(bench) else -90  # 6.2 does not tell that anything was deleted
    assert since(Watcher(bench).look()) == bench.after(uncovered)


def test_many_streams_share_what_may_be_read_at_start(bench: Bench) -> None:
    """A few are read far back, of ten thousand each only the latest entries."""
    fills = []
    for number in (1, 200, 1_000, 10_000):
        one = Watcher(bench).signal
        share_out([one] * number)
        fills.append(one.fill)
    assert fills == [2_000, 500, 100, 20]


# ---- counted once ------------------------------------------------------------------------------


def test_every_entry_is_counted_once(bench: Bench) -> None:
    """Those of before at their own time, those of now when they are seen."""
    bench.add("s", -9000, -3000, -120, -60)
    watcher = Watcher(bench)
    history = History(HOUR).add([watcher.look()])
    bench.add("s", 10, 20)
    history.add([watcher.look(30)])
    assert watcher.tick(35) is None
    found = history.increase(watcher.signal.key, "added", timedelta(seconds=3500), bench.after(35))
    assert found == 5
    assert history.increase(watcher.signal.key, "added", timedelta(seconds=10), bench.after(35)) == 2


@pytest.mark.parametrize("fields", [{}, {"n": {}}], ids=["not read", "read"])
def test_bursts_are_counted_to_their_end(bench: Bench, fields: dict[str, Any]) -> None:
    """Exactly one page, then exactly two, then one entry more."""
    bench.client.xgroup_create("s", "g", mkstream=True)
    watcher = Watcher(bench, fields=fields)
    found = [watcher.look()]
    total = 0
    for i, burst in enumerate((500, 1000, 1)):
        pipe = bench.client.pipeline(transaction=False)
        for _ in range(burst):
            pipe.xadd("s", {"n": "1"}, id=f"{1000 + total}-0")
            total += 1
        pipe.execute()
        found.append(watcher.look(5 * i))
    assert [steps(reading, "added") for reading in found] == [0, 500, 1000, 1]
    assert since(found[-1]) == EPOCH


def test_a_flood_is_counted_or_said_to_be_more(bench: Bench) -> None:
    """12,000 entries between two looks: Redis counts them, or so many are fetched and no more."""
    bench.add("s", -10)
    watcher = Watcher(bench)
    watcher.look()
    pipe = bench.client.pipeline(transaction=False)
    for i in range(12_000):
        pipe.xadd("s", {"n": "1"}, id=bench.id(1, i))
    pipe.execute()
    found = watcher.look(5)
    assert steps(found, "added") == (12_000 if counts(bench) else 10_000)
    assert since(found) == (EPOCH if counts(bench) else bench.after(5))


def test_trimming_between_looks_loses_no_count(bench: Bench) -> None:
    """Four were added, two of them are gone unseen: Redis counted them, and before 7.0 it may be more."""
    watcher = Watcher(bench)
    bench.add("s", -10)
    found = [watcher.look()]
    bench.add("s", 1, 2, 3, 4)
    bench.client.xtrim("s", maxlen=2, approximate=False)
    found.append(watcher.look(5))
    assert [steps(reading, "added") for reading in found] == [1, 4 if counts(bench) else 2]
    assert since(found[1]) == (EPOCH if counts(bench) else bench.after(5))


@pytest.mark.parametrize("fields", [{}, {"n": {}}], ids=["not read", "read"])
def test_trimming_what_was_seen_withdraws_nothing(bench: Bench, fields: dict[str, Any]) -> None:
    """A capped stream is the usual case."""
    watcher = Watcher(bench, fields=fields)
    bench.add("s", -20, -10)
    first = since(watcher.look())
    for seconds in range(1, 6):
        bench.client.xadd("s", {"n": "1"}, id=bench.id(seconds), maxlen=2, approximate=False)
        found = watcher.look(seconds)
        assert steps(found, "added") == 1
    assert since(found) == first


CAPS = """
  maxlen, then added | capped
  -      10          | 0
  5      0           | 1
  5      900         | 1
  5      1100        | 0
  1000   0           | 1
  1000   2000        | 1
  1000   2100        | 0
"""


@pytest.mark.parametrize(("life", "expected"), rows(CAPS), ids=ids(CAPS))
def test_a_cap_that_was_outgrown_is_none(bench: Bench, life: str, expected: str) -> None:
    """Trimmed once by hand, a stream still grows until Redis' memory ends."""
    maxlen, more = life.split()
    watcher = Watcher(bench)
    numbers = count(1)

    def grow(by: int) -> None:
        pipe = bench.client.pipeline(transaction=False)
        for _ in range(by):
            pipe.xadd("s", {"n": "1"}, id=f"{next(numbers)}-0")
        pipe.execute()

    grow(10 if maxlen == "-" else int(maxlen) + 1)
    found = watcher.look()
    if maxlen != "-":
        bench.client.xtrim("s", maxlen=int(maxlen), approximate=False)
        found = watcher.look(5)
    if int(more):
        grow(int(more))
        found = watcher.look(10)
    assert found.values.get("capped") == (float(expected) if counts(bench) or maxlen != "-" else None)


DEEDS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 4)),
    st.tuples(st.just("trim"), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("drop"), st.just(0)),
    st.tuples(st.just("look"), st.just(0)),
)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(deeds=st.lists(DEEDS, max_size=25))
@example(deeds=[("trim", 0), ("look", 0), ("add", 1), ("trim", 0)])  # emptied, and again before the next look
def test_whatever_happens_nothing_is_counted_that_was_not_added(
    redis_server: tuple[str, EmbeddedServer], deeds: list[tuple[str, int]]
) -> None:
    """And all is counted that was, unless the reading says that something may have been missed."""
    name, server = redis_server
    with closing(Wire(server.url)) as wire:
        wire.one("FLUSHALL")
        wire.one("XADD", "s", "1000-0", "n", "1")
        watcher = Watcher(Bench(name, server.url, Redis.from_url(server.url), began=EPOCH + HOUR))
        found = watcher.look()
        truth, at, vanished, hidden = 0, 1000, False, False
        for tick, (deed, number) in enumerate([*deeds, ("add", 1), ("look", 0)], 1):
            if deed == "add":
                wire.ask([("XADD", "s", f"{at + i}-0", "n", "1") for i in range(1, number + 1)])
                at, truth = at + number, truth + number
            elif deed == "trim":
                wire.one("XTRIM", "s", "MAXLEN", number)
            elif deed == "delete" and number < truth:
                hidden = hidden or bool(wire.one("XDEL", "s", f"{at - number}-0"))
            elif deed == "drop":
                vanished = bool(wire.one("DEL", "s")) or vanished
            elif deed == "look":
                said = watcher.tick(float(tick))
                if said is None or said.trouble is not None:
                    continue
                before, found = since(found), said
                counted = steps(found, "added")
                assert counted <= truth
                unseen = vanished or (hidden and not SERVERS[name].counts)  # 6.2 tells of no deletion
                assert counted == truth or since(found) > before or unseen
                truth, vanished, hidden = 0, False, False


# ---- made anew ---------------------------------------------------------------------------------


def test_deleted_and_made_anew(bench: Bench) -> None:
    """The new stream's entries are counted once, the old one's not again, and it is told."""
    watcher = Watcher(bench)
    bench.add("s", -20, -10)
    found = [watcher.look()]
    bench.client.delete("s")
    found.append(watcher.look(5))
    bench.add("s", 6, 7, 8)
    found.append(watcher.look(10))
    bench.add("s", 16)
    found.append(watcher.look(20))
    assert found[1].trouble == 'stream "s" does not exist'
    assert [steps(found[i], "added") for i in (0, 2, 3)] == [2, 3, 1]
    assert [steps(found[i], "resets") for i in (0, 2, 3)] == [0, 1, 0]
    assert since(found[3]) == bench.after(10)
    assert since(found[3], "resets") == bench.began
    assert found[3].evidence["made_anew"] == f"{rfc3339(bench.after(10))}, when it stood at {bench.id(-10)}"


@pytest.mark.parametrize("instead", ["nothing", "a string"])
def test_what_was_gone_is_not_the_same_when_it_is_back(bench: Bench, instead: str) -> None:
    """Trimmed to nothing, deleted, and made again with later IDs: only its absence tells."""
    watcher = Watcher(bench)
    bench.client.xadd("s", {"n": "1"}, id=bench.id(-10))
    bench.client.xtrim("s", maxlen=0, approximate=False)
    watcher.look()
    bench.client.delete("s")
    if instead == "a string":
        bench.client.set("s", "1")
    assert watcher.look(5).trouble is not None
    bench.client.delete("s")
    bench.client.xadd("s", {"n": "1"}, id=bench.id(6), maxlen=0, approximate=False)
    bench.add("s", 7)
    found = watcher.look(10)
    assert (steps(found, "resets"), steps(found, "added"), since(found)) == (1, 1, bench.after(10))


def test_made_anew_between_two_looks(bench: Bench) -> None:
    """Longer than before and with later IDs; still Redis' counters cannot be those of one stream."""
    watcher = Watcher(bench)
    bench.add("s", -20, -10)
    watcher.look()
    bench.client.flushall()
    bench.add("s", 1, 2, 3)
    found = watcher.look(5)
    assert (steps(found, "added"), since(found)) == (3, bench.after(5))
    assert steps(found, "resets") == (1 if counts(bench) else 0)  # before 7.0 it looks as if it was trimmed


def test_the_built_in_rule_hears_of_it(bench: Bench) -> None:
    """Unknown at first, for nobody watched the hour before; true once it happened, whoever watched since when."""
    (when,) = BUILTIN["StreamReset"]["when"]
    condition = parse_condition(when, {"stream": Stream.MEASURES})
    watcher = Watcher(bench)
    history = History(HOUR)

    def holds(seconds: float) -> Truth:
        reading = watcher.look(seconds)
        history.add([reading])
        measure = Stream.MEASURES[condition.term.measure]
        return compare(condition, look_up(condition.term, reading.signal, measure, history, reading.at))

    bench.add("s", -20, -10)
    found = [holds(0)]
    bench.add("s", 1)
    found.append(holds(3605))
    bench.client.flushall()
    bench.client.xgroup_create("s", "g", mkstream=True)
    found.append(holds(3610))
    assert found == [Truth.UNKNOWN, Truth.FALSE, Truth.TRUE]


def test_made_anew_and_empty(bench: Bench) -> None:
    """A group made on the deleted stream's name starts it at 0-0; still nothing came since what was there before."""
    watcher = Watcher(bench)
    bench.add("s", -20, -10)
    watcher.look()
    bench.client.delete("s")
    bench.client.xgroup_create("s", "g", mkstream=True)
    found = watcher.look(5)
    assert (values(found)["age"], steps(found, "resets")) == (AtLeast(15), 1)
    bench.add("s", 6)
    found = watcher.look(10)
    assert (steps(found, "added"), values(found)["age"], steps(found, "resets")) == (1, 4, 0)


@pytest.mark.parametrize("fields", [{}, {"n": {}}], ids=["not read", "read"])
def test_restored_from_an_older_snapshot(bench: Bench, fields: dict[str, Any]) -> None:
    """Entries that were counted before Redis lost the newest are not counted twice."""
    watcher = Watcher(bench, fields=fields)
    bench.add("s", -30, -20)
    snapshot: Any = bench.client.dump("s")
    bench.add("s", -10)
    found = [watcher.look()]
    bench.client.restore("s", 0, snapshot, replace=True)
    found.append(watcher.look(5))
    bench.add("s", 6)
    found.append(watcher.look(10))
    assert [steps(reading, "added") for reading in found] == [3, 0, 1]
    assert [steps(reading, "resets") for reading in found] == [0, 1, 0]
    assert since(found[1]) == bench.after(5)


REFUSED = [
    {},
    {"key": ""},
    {"key": "s", "expect_every": "0s"},
    {"key": "s", "fields": {"x": {"rnage": [0, 1]}}},
    {"key": "s", "fields": {"x": {"one_of": []}}},
    {"key": "s", "fields": {"x": {"range": [0]}}},
]


@pytest.mark.parametrize("keys", REFUSED, ids=str)
def test_refused_configurations(keys: dict[str, Any]) -> None:
    """What could never be told is an error of the file."""
    with pytest.raises(ValidationError):
        StreamConfig.model_validate(keys)


def test_offered_measures() -> None:
    """What is not declared is not applicable."""
    plain = {"length", "added", "age", "overdue", "retained", "capped", "resets", "groups"}
    assert set(StreamConfig.model_validate({"key": "s"}).offered()) == plain | {"usual"}
    full = {"expect_every": "1s", "timestamp": "ts", "fields": {"side": {}}, "expect_groups": True}
    offered = StreamConfig.model_validate({"key": "s", **full}).offered()
    assert set(offered) == plain | {"expected", "skew", "bad_values", "constant_share.side", "unread"}
