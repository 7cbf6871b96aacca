"""What `consumes` asks of a group, when, and when it leaves it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.drawn import T0, ids, rows
from tests.signals.conftest import Bench, look_at, signal_of, steps
from watchdog.allowance import Allowance
from watchdog.groups import GroupLook, look_on
from watchdog.model import AtLeast, Reading, as_of
from watchdog.signals.asking import about_groups, about_stream
from watchdog.signals.base import Command, Refused, Reply, RestingSignal
from watchdog.signals.consumes import Consumes
from watchdog.signals.inquiry import LONGEST_WALK, PAGE, Facts, Inquiry
from watchdog.signals.replies import text

ABOUT = about_stream("s"), about_groups("s")
NOW_MS = int(T0.timestamp() * 1000)


def group(stream: str = "s", name: str = "g") -> Consumes:
    """Return the signal for group *name* on *stream*."""
    signal = signal_of("consumes", stream=stream, group=name)
    assert isinstance(signal, Consumes)
    return signal


def entry(seconds: float) -> bytes:
    """Return the ID of an entry of *seconds* after T0."""
    return b"%d-0" % (NOW_MS + round(seconds * 1000))


class Server:
    """Answers as a server would: one stream with one group, *waiting* entries ahead and *pending* ones."""

    def __init__(self, waiting: int = 0, pending: int = 0) -> None:
        self.added, self.waiting, self.pending, self.consumers = 100, waiting, pending, 1
        self.hidden = 0  # entries that the counters tell of and nobody finds
        self.newest = -1.0
        self.said: list[str] = []
        self.refuses: tuple[str, ...] = ()

    def add(self, seconds: float) -> None:
        """Take in an entry, and deliver and acknowledge it at once."""
        self.newest, self.added = seconds, self.added + 1

    def reply(self, command: Command) -> Reply:
        """Answer *command*."""
        words = [text(word) for word in command]
        name = " ".join(words[:2] if words[0] == "XINFO" else words[:1])
        name += " detail" if command[0] == "XPENDING" and len(command) > 3 else ""
        self.said.append(name)
        if name in self.refuses:
            return Refused(f"NOPERM User watchdog has no permissions to run {words[0]}")
        return getattr(self, "_" + name.lower().replace(" ", "_"))(command)

    def _xinfo_stream(self, _: Command) -> Reply:
        last = [entry(self.newest), []]
        figures = b"length 100 groups 1 radix-tree-keys 1 radix-tree-nodes 1 max-deleted-entry-id 0-0".split()
        edges = [b"first-entry", [entry(self.newest - 99), []], b"last-entry", last]
        return [*figures, b"entries-added", self.added, b"last-generated-id", last[0], *edges]

    def _xinfo_groups(self, _: Command) -> Reply:
        position = [b"last-delivered-id", entry(self.newest - self.waiting)]
        counters = [b"entries-read", self.added - self.waiting, b"lag", self.waiting]
        held = [b"consumers", self.consumers, b"pending", self.pending]
        return [[b"name", b"g", *position, *counters, *held]]

    def _xinfo_consumers(self, _: Command) -> Reply:
        return [[b"name", b"c", b"pending", self.pending, b"idle", 5, b"inactive", 5]] * self.consumers

    def _xpending(self, _: Command) -> Reply:
        return [self.pending, entry(self.newest - 9), entry(self.newest), []]

    def _xpending_detail(self, _: Command) -> Reply:
        return [[entry(self.newest - 9 + i), b"c", 5, 1] for i in range(min(10, self.pending))]

    def _xrange(self, command: Command) -> Reply:
        found = [entry(self.newest - self.waiting + 1 + i) for i in range(self.hidden, self.waiting)]
        start = text(command[2]).removeprefix("(")  # the IDs are of one length
        return [[one, []] for one in found if one.decode() > start][: int(command[5])]


class Vanishing(Server):
    """Its group is there when first asked for, and never again."""

    gone = False

    def _xinfo_groups(self, command: Command) -> Reply:
        told = [] if self.gone else super()._xinfo_groups(command)
        self.gone = True
        return told


def look(signal: RestingSignal[Any], server: Server, seconds: float) -> Reading | None:
    """Let *signal* look as the reader does, and note in *server* what it asks beyond the questions."""
    answers = [question.read(server.reply(question.command)) for question in signal.questions]
    server.said.clear()
    looking = signal.look_on(T0 + timedelta(seconds=seconds), answers)
    try:
        wants: Sequence[Command] = next(looking)
        while True:
            wants = looking.send([server.reply(command) for command in wants])
    except StopIteration as done:
        reading: Reading | None = done.value
        return reading


# ---- resting -----------------------------------------------------------------------------------


def test_a_group_that_rests_says_nothing() -> None:
    """Nothing changed, nothing is due: no reading, no command; after five minutes at the latest it looks."""
    signal, server = group(), Server()
    first = look(signal, server, 0)
    assert server.said == ["XINFO CONSUMERS"]
    assert first is not None
    quiet = [look(signal, server, seconds) for seconds in range(1, int(signal.wake_at - T0.timestamp()))]
    assert set(quiet) == {None}
    assert server.said == []
    assert T0.timestamp() < signal.wake_at <= T0.timestamp() + 300
    assert look(signal, server, 300) is not None


def test_a_healthy_group_that_moves_asks_nothing_more() -> None:
    """All delivered, all acknowledged: the two questions tell everything."""
    signal, server = group(), Server()
    look(signal, server, 0)
    said = []
    for second in range(1, 50):
        server.add(second)
        assert look(signal, server, second) is not None
        said += server.said
    assert len(said) <= 1  # who works: once in five minutes, at the group's own second


CADENCE = """
  waiting | pending | commands of the first look                        | of those that follow a change
  0       | 0       | XINFO CONSUMERS                                   | -
  0       | 2       | XPENDING detail, XPENDING, XINFO CONSUMERS        | XPENDING
  3       | 0       | XINFO STREAM, XINFO GROUPS, XPENDING, XRANGE, XRANGE, XINFO CONSUMERS | XRANGE
"""


@pytest.mark.parametrize(("waiting", "pending", "first", "later"), rows(CADENCE), ids=ids(CADENCE))
def test_what_is_asked_when(waiting: str, pending: str, first: str, later: str) -> None:
    """Everything at first; then who works and who holds what once a minute, whatever changes."""
    signal, server = group(), Server(int(waiting), int(pending))
    look(signal, server, 0)
    assert sorted(server.said) == sorted(first.split(", "))
    slow = []
    for second in range(5, 605, 5):
        server.add(second)
        look(signal, server, second)
        if "XINFO CONSUMERS" in server.said:
            slow.append(second)
        else:
            assert server.said == ([] if later == "-" else [later])
    busy = waiting != "0" or pending != "0"
    assert len(slow) == (10 if busy else 2)


def test_groups_do_not_all_ask_in_the_same_tick() -> None:
    """Who works is asked at each group's own second of the minute."""
    asked = []
    for number in range(100):
        signal, server = group(f"stream-{number}"), Server(pending=1)
        look(signal, server, 0)
        for second in range(1, 61):
            server.add(second)
            look(signal, server, second)
            if "XINFO CONSUMERS" in server.said:
                asked.append(second)
    assert len(asked) == 100
    assert max(asked.count(second) for second in asked) <= 8


def test_a_consumer_more_is_looked_at_at_once() -> None:
    """Another number of consumers is a reason to ask who they are."""
    signal, server = group(), Server()
    look(signal, server, 0)
    server.consumers = 2
    look(signal, server, 5)
    assert server.said == ["XINFO CONSUMERS"]


def test_each_consumer_on_demand() -> None:
    """Views of single consumers have them asked for in every tick, and kept."""
    signal, server = group(), Server()
    assert len(signal.questions) == 2
    signal.each_consumer = True
    reading = look(signal, server, 0)
    assert server.said == []
    assert reading is not None
    facts: Any = reading.facts
    assert [(one.name, one.idle_ms) for one in facts.consumers] == [("c", 5)]
    assert (facts.stream.length, facts.group.consumers) == (100, 1)
    signal.each_consumer = False
    assert len(signal.questions) == 2


class Crew(Server):
    """Its consumers are idle for as many seconds as told."""

    idles: Mapping[str, int] = {}

    def _xinfo_consumers(self, _: Command) -> Reply:
        return [
            [b"name", name.encode(), b"pending", self.pending, b"idle", idle * 1000, b"inactive", idle * 1000]
            for name, idle in self.idles.items()
        ]


AT_WORK = """
  what              | 0       | 30      | 60      | 90            | alive
  two of them       | a:1 b:1 | a:2 b:9 | a:1 b:3 | a:1 b:1       | 0 0 2 2
  one after another | a:1     | b:1 a:9 | b:1 a:39| b:1 a:69      | 0 0 1 1
  a crash loop      | a:1     | b:1 a:30| c:1 b:31 a:60| d:1 c:31 b:61 a:90 | 0 0 0 0
  a ghost           | a:1 b:99| a:1 b:129| a:1 b:159| a:1 b:189   | 0 0 1 1
"""


@pytest.mark.parametrize(
    ("_what", "first", "second", "third", "fourth", "alive"), rows(AT_WORK), ids=ids(AT_WORK)
)
def test_how_many_are_at_work(
    _what: str, first: str, second: str, third: str, fourth: str, alive: str
) -> None:
    """Where one must be alone: who is at work now and was a minute ago; a restart never makes two of one."""
    signal, server = signal_of("consumes", stream="s", group="g", single=True), Crew()
    assert isinstance(signal, Consumes)
    told = []
    for number, drawn in enumerate((first, second, third, fourth)):
        server.idles = {name: int(idle) for name, idle in (one.split(":") for one in drawn.split())}
        server.consumers = len(server.idles)
        server.add(number)
        reading = look(signal, server, 30 * number)
        assert reading is not None
        told.append(f"{reading.values['alive']:g}")
    assert " ".join(told) == alive


def test_only_who_must_be_alone_is_counted() -> None:
    """Where several consumers are how it scales, nothing is said of how many there are at work."""
    reading = look(group(), Server(), 0)
    assert reading is not None
    assert "alive" not in dict(reading.values.items())
    assert "alive" not in group().config.offered()


def test_when_one_is_a_ghost_is_the_files_to_say() -> None:
    """`ghost_after` is an hour unless the file says otherwise."""
    signal = signal_of("consumes", stream="s", group="g", ghost_after="20s")
    assert isinstance(signal, Consumes)
    for one, ghosts in ((signal, 1.0), (group(), 0.0)):
        server = Crew(pending=1)
        server.idles = {"a": 30}
        reading = look(one, server, 0)
        assert reading is not None
        assert reading.values["ghosts"] == ghosts


# ---- what may not be asked ---------------------------------------------------------------------

REFUSALS = """
  refused                  | unknown                     | verdict
  XRANGE                   | lag                         | unknown
  XPENDING,XPENDING detail | oldest_pending deliveries bodies_gone | unknown
  XPENDING detail          | deliveries bodies_gone      | ok
  XINFO CONSUMERS          | ghosts                      | ok
"""


@pytest.mark.parametrize(("refused", "unknown", "verdict"), rows(REFUSALS), ids=ids(REFUSALS))
def test_what_is_refused_is_unknown(refused: str, unknown: str, verdict: str) -> None:
    """A user who may not ask gets a null for that and the rest all the same; the evidence names the refusal."""
    signal, server = group(), Server(waiting=3, pending=2)
    server.refuses = tuple(refused.split(","))
    reading = look(signal, server, 0)
    assert reading is not None
    assert [name for name, held in reading.values.items() if held is None] == unknown.split()
    assert (reading.values["verdict"], reading.known) == (verdict, False)
    assert "NOPERM" in str(reading.evidence["refused"])


def test_a_stream_that_may_not_be_seen_is_trouble(bench: Bench) -> None:
    """On a real server: without XINFO nothing can be told, and the sentence names the cause."""
    bench.client.xgroup_create("s", "g", "0", mkstream=True)
    bench.client.execute_command("ACL", "SETUSER", "blind", "on", ">x", "~*", "+ping")  # type: ignore[no-untyped-call]
    (found,) = look_at(bench.url.replace("://", "://blind:x@"), group(), now=bench.after(0))
    assert found.trouble is not None
    assert found.trouble.startswith('stream "s" may not be read by this Redis user: NOPERM')


# ---- counting ----------------------------------------------------------------------------------


def test_a_long_backlog_is_counted_over_several_looks(bench: Bench) -> None:
    """Nothing proves 2,600 entries at once: a lower bound that grows look by look, then the number."""
    pipe = bench.client.pipeline(transaction=False)
    for i in range(2700):
        pipe.xadd("s", {"n": "1"}, id=bench.id(-3000 + i))
    pipe.execute()
    false = ("XGROUP", "CREATE", "s", "g", bench.id(-3000 + 99), "ENTRIESREAD", 7)
    bench.client.execute_command(*false)  # type: ignore[no-untyped-call]
    signal = group()
    found = [bench.look(signal, second) for second in (0, 5, 10, 15)]
    assert [(reading.values["lag"], reading.values["provenance"]) for reading in found] == [
        (AtLeast(1000), "at_least"),
        (AtLeast(2000), "at_least"),
        (2600, "counted"),
        (2600, "counted"),
    ]
    assert found[0].evidence["redis_lag"] == 2693
    bench.client.xreadgroup("g", "c", {"s": ">"}, count=100)
    read = bench.look(signal, 20)
    assert (read.values["lag"], read.values["provenance"]) == (2500, "reported")


class Old(Server):
    """A server before 7.0: it has no counters."""

    def _xinfo_stream(self, command: Command) -> Reply:
        told = super()._xinfo_stream(command)
        at = told.index(b"max-deleted-entry-id")
        return [*told[:at], *told[at + 4 :]]


def counted(
    server: Server, allowance: Allowance, before: GroupLook | None, seconds: float
) -> tuple[GroupLook, str]:
    """Look once more at a group, counting what *allowance* leaves, and return how many are said to wait."""
    now = T0 + timedelta(seconds=seconds)
    info, groups = (read(server.reply(ask)) for ask, read in ABOUT)
    place = before and before.place
    asking = Inquiry("s", "g", allowance).ask(
        before, place, Facts(info, groups["g"]), now.timestamp(), slow=False
    )
    try:
        wants = next(asking)
        while True:
            wants = asking.send([server.reply(command) for command in wants])
    except StopIteration as done:
        look = look_on(before, place, done.value, now)
        return look, f"{look.waiting} {look.provenance}"


@pytest.mark.parametrize("waiting", [10, 20])
def test_a_count_is_begun_anew_where_the_entries_contradict_it(waiting: int) -> None:
    """XDEL and a false XSETID between two looks: what was counted before is as doubtful as the counters."""
    server = Server(waiting)
    before, said = counted(server, Allowance(PAGE), None, 0)
    assert said == f"{waiting} counted"
    server.newest, server.added, server.waiting, server.hidden = 0, 101, waiting + 1, 9
    assert counted(server, Allowance(PAGE), before, 5)[1] == f"{waiting + 1 - 9} counted"


@pytest.mark.parametrize(("kind", "page"), [(Server, PAGE), (Old, LONGEST_WALK)])
def test_groups_share_what_may_be_counted_at_one_moment(kind: type[Server], page: int) -> None:
    """Who comes too late says "at least" the first few, and is counted when there is room again."""
    allowance = Allowance(page + 80)  # whoever counts 90 asks for a page, and gives back what it did not need
    servers = [kind(waiting=90) for _ in range(4)]
    first = [counted(server, allowance, None, 0) for server in servers]
    assert [said for _, said in first] == ["90 counted", "90 counted", "16 at_least", "16 at_least"]
    again = [
        counted(server, allowance, before, 5) for server, (before, _) in zip(servers, first, strict=True)
    ]
    assert [said for _, said in again] == ["90 counted"] * 4


def test_a_moment_before_the_last_one_has_no_allowance_of_its_own() -> None:
    """Two Redis are looked at a little apart, in turns; only a clock set back begins anew."""
    allowance = Allowance(10)
    assert [allowance.take(6, at) for at in (1000, 999, 1001, 1000, 900)] == [True, False, True, False, True]


def test_a_group_that_goes_away_while_it_is_counted() -> None:
    """Between two questions the group was destroyed: missing, not a failed look."""
    reading = look(group(), Vanishing(waiting=3), 0)
    assert reading is not None
    assert (reading.values, dict(reading.evidence)) == (
        {"verdict": "missing"},
        {"missing": "it went away while it was looked at"},
    )


# ---- what is pending ---------------------------------------------------------------------------

BODIES = """
  what became of the pending ones | bodies_gone
  -                               | 0
  XTRIM 3                         | 3
  XDEL 5                          | 1
  XTRIM 3, XDEL 5                 | 4
  XDEL 11                         | 0
  XTRIM 12                        | 12
"""


@pytest.mark.parametrize(("what", "gone"), rows(BODIES), ids=ids(BODIES))
@pytest.mark.parametrize("pending", [8, 12])
def test_pending_entries_without_a_body(bench: Bench, what: str, gone: str, pending: int) -> None:
    """S09: trimmed or deleted while pending; of more than ten pending ones the oldest tell the least there are."""
    bench.add("s", *(-100 + i for i in range(12)))
    bench.client.xgroup_create("s", "g", "0")
    bench.client.xreadgroup("g", "c", {"s": ">"}, count=pending)
    for step in what.split(", ") if what != "-" else []:
        verb, number = step.split()
        if verb == "XTRIM":
            bench.client.xtrim("s", maxlen=12 - int(number), approximate=False)
        else:
            bench.client.xdel("s", bench.id(-100 + int(number)))
    found = bench.look(group()).values["bodies_gone"]
    if pending == 12 and what in ("XTRIM 12", "XDEL 11"):
        assert found == AtLeast(min(int(gone), 10))
    else:
        assert found == min(int(gone), pending)


def test_evidence_names_entries_holders_and_commands(bench: Bench) -> None:
    """What is next, what is oldest, what is poison and who holds it, and lines that a shell takes as they are."""
    key = "a b'c"
    for i in range(3):
        bench.client.xadd(key, {"n": "1"}, id=bench.id(-50 + i))
    bench.client.xgroup_create(key, "g $1", "0")
    bench.client.xreadgroup("g $1", "host_1", {key: ">"}, count=2)
    for _ in range(5):
        bench.client.xclaim(key, "g $1", "host_2", 0, [bench.id(-50)])
    evidence = bench.look(group(key, "g $1")).evidence
    told = {name: evidence[name] for name in ("head", "oldest_pending_id", "poison", "backlog")}
    assert told == {
        "head": bench.id(-48),
        "oldest_pending_id": bench.id(-50),
        "poison": [f"{bench.id(-50)}, 6 times, held by host_2"],
        "backlog": "counted",
    }
    assert evidence["look"] == (
        "redis-cli XINFO GROUPS 'a b'\"'\"'c'; redis-cli XPENDING 'a b'\"'\"'c' 'g $1'"
        "; redis-cli XPENDING 'a b'\"'\"'c' 'g $1' - + 10; redis-cli XINFO CONSUMERS 'a b'\"'\"'c' 'g $1'"
        f"; redis-cli XRANGE 'a b'\"'\"'c' {bench.id(-48)} + COUNT 1"
    )


# ---- what the next process knows ---------------------------------------------------------------


def test_what_is_lost_while_nobody_looks_is_told_afterwards(bench: Bench) -> None:
    """The place is remembered, so the next process counts what was trimmed meanwhile, and only that."""
    bench.client.xgroup_create("s", "g", "0", mkstream=True)
    bench.add("s", *(-100 + i for i in range(10)))
    bench.client.xreadgroup("g", "c", {"s": ">"}, count=4)
    before = group()
    bench.look(before, 0)
    memory = before.memory()
    bench.client.xtrim("s", maxlen=3, approximate=False)
    after = group()
    after.remember(memory)
    bench.seen.clear()
    found = bench.look(after, 600)
    assert (steps(found, "lost"), found.values["lag"]) == (3, 3)
    assert as_of(found.values["behind"], found.at) == pytest.approx(600 + 93)


def test_the_memory_changes_at_most_every_five_minutes() -> None:
    """Or the state file would be written at every tick."""
    signal, server = group(), Server()
    memories = []
    for second in range(0, 901, 5):
        server.add(second)
        look(signal, server, second)
        memories.append(signal.memory())
    assert len({str(memory) for memory in memories}) == 4
    assert memories[0] is memories[1]
