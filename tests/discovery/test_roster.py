"""The roster: what is new, what is missing, what is forgotten, what there is no room for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.drawn import T0, ids, rows
from watchdog.discovery import GROUP, HEARTBEAT, STREAM, Plan, groups_of, tellable
from watchdog.globs import parse_exclusion, parse_pattern
from watchdog.model import Labels, SignalKey
from watchdog.roster import Change, Roster

from .conftest import named


def plan(
    *,
    streams: Sequence[str] = ("q:{service}:*",),
    heartbeats: Sequence[str] = (),
    exclude: Sequence[str] = (),
    limit: int = 20_000,
    forget: float = 3.0,
    redis: str | None = None,
) -> Plan:
    """Return a plan that forgets after *forget* minutes."""
    return Plan(
        tuple(map(parse_pattern, streams)),
        tuple(map(parse_pattern, heartbeats)),
        tuple(map(parse_exclusion, exclude)),
        limit,
        forget_after=timedelta(minutes=forget),
        redis=redis,
    )


def goes_over(
    roster: Roster, keys: Iterable[str | bytes], minute: float = 0.0, groups: str | None = None
) -> Change:
    """Let *roster* go over all *keys*: streams, each with *groups*, or not told with which."""
    now = T0 + timedelta(minutes=minute)
    added: list[SignalKey] = []
    roster.begin_round()
    for key in keys:
        raw = key if isinstance(key, bytes) else key.encode()
        if roster.sight(STREAM, raw):
            added += roster.take(STREAM, raw, None if groups is None else groups.split(), now).added
    return Change(tuple(added), roster.end_round(now).gone)


def told(keys: Iterable[SignalKey]) -> str:
    """Return what *keys* look at, in a row."""
    return ", ".join(sorted(named(key) for key in keys)) or "-"


LIVES = """
  there, minute by minute      | added and -forgotten, minute by minute
  s   s   s   s   s            | s - - - -
  s   .   .   .   .            | s - - - -s
  s   .   .   s   s            | s - - - -
  s   .   s   .   .   .   .    | s - - - - - -s
  .   s   s                    | . s -
  s   .   .   .   .   s        | s - - - -s s
"""


@pytest.mark.parametrize(("there", "changes"), rows(LIVES), ids=ids(LIVES))
def test_life_of_a_stream(there: str, changes: str) -> None:
    """Forgotten after three minutes: the minute in which it is first missed, and three more."""
    roster = Roster(plan())
    seen = []
    for minute, key in enumerate(there.split()):
        change = goes_over(roster, ["q:a:s"] if key == "s" else [], minute)
        seen.append("s" if change.added else "-s" if change.gone else "-")
    assert changes.replace(".", "-").split() == seen


def test_a_stream_is_missing_until_it_is_forgotten_and_its_groups_go_with_it() -> None:
    """What is missing is named; in the end stream and groups are given back together."""
    roster = Roster(plan())
    assert told(goes_over(roster, ["q:a:s"], 0, "g").added) == "group g on q:a:s, q:a:s"
    goes_over(roster, [], 1)
    assert list(roster.missing()) == ["q:a:s"]
    assert roster.found == 2
    assert {"q:a:s", "group g on q:a:s"} == {named(key) for key in goes_over(roster, [], 4).gone}
    assert (roster.found, list(roster.missing())) == (0, [])


GROUPS = """
  groups, minute by minute | added | missing    | forgotten
  g  gh  gh                | h     | -          | -
  gh g   g                 | -     | h on q:a:s | -
  gh g   g   g   g         | -     | -          | h
  gh g   gh  gh  gh        | -     | -          | -
  -  g   g                 | g     | -          | -
"""


@pytest.mark.parametrize(("groups", "added", "missing", "forgotten"), rows(GROUPS), ids=ids(GROUPS))
def test_groups_that_a_look_at_their_stream_shows(
    groups: str, added: str, missing: str, forgotten: str
) -> None:
    """A new group at once; one that went is missing for three minutes; one that is back is not."""
    first, *then = [set(word) - {"-"} for word in groups.split()]
    roster = Roster(plan())
    goes_over(roster, ["q:a:s"], 0, " ".join(first))
    new: list[SignalKey] = []
    gone: list[SignalKey] = []
    for minute, there in enumerate(then, 1):
        new += roster.noticed("q:a:s", there, T0 + timedelta(minutes=minute)).added
        gone += goes_over(roster, ["q:a:s"], minute).gone
    assert added == (" ".join(key.labels["group"] for key in new) or "-")
    assert missing == (" ".join(roster.missing()) or "-")
    assert forgotten == (" ".join(key.labels["group"] for key in gone) or "-")


def test_what_is_seen_twice_in_a_round_is_there_once() -> None:
    """SCAN may return a key again and again."""
    roster = Roster(plan())
    assert told(goes_over(roster, ["q:a:s", "q:a:s", "q:a:s"]).added) == "q:a:s"
    assert told(goes_over(roster, ["q:a:s", "q:a:s"], 1).added) == "-"
    assert roster.found == 1


def test_services_are_named_by_the_pattern() -> None:
    """The first pattern that takes a key says whose it is; one without {service} says `discovered`."""
    roster = Roster(plan(streams=["q:{service}:out", "q:*"]))
    change = goes_over(roster, ["q:orders:out", "q:orders:in"], groups="g")
    assert {
        "orders": {"q:orders:out", "group g on q:orders:out"},
        "discovered": {"q:orders:in", "group g on q:orders:in"},
    } == {
        service: {named(key) for key in change.added if key.service == service}
        for service in ("orders", "discovered")
    }


def test_what_is_excluded_is_not_there() -> None:
    """Excluded names are neither watched nor counted."""
    roster = Roster(plan(exclude=["*:test:*", "q:b:*"]))
    change = goes_over(roster, ["q:a:s", "q:a:test:s", "q:b:s", b"q:b:\xff"])
    assert (told(change.added), roster.left_out, roster.skipped) == ("q:a:s", 0, 0)


NAMES = r"""
  name                | tellable
  q:a:s               | yes
  q:a:naïve           | yes
  q:a:名前             | yes
  q:a:two words       | yes
  q:a:\x00            | no
  q:a:\n              | no
  q:a:\x1b[31m        | no
  q:a:\x7f            | no
  q:a:\u202eevil      | no
  q:a:\ufffd          | no
"""


@pytest.mark.parametrize(("name", "answer"), rows(NAMES), ids=ids(NAMES))
def test_names_that_can_be_told(name: str, answer: str) -> None:
    """What would steer a terminal, or cannot be asked for again, is counted and left alone."""
    text = name.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in name else name
    roster = Roster(plan())
    change = goes_over(roster, [text])
    assert (answer == "yes", 0 if answer == "yes" else 1) == (bool(change.added), roster.skipped)
    assert (answer == "yes") == tellable(text)


def test_names_that_are_no_text_or_endless_are_counted() -> None:
    """Bytes that are not UTF-8; a kilobyte and a megabyte. One byte less would do."""
    roster = Roster(plan())
    most = b"q:a:" + b"x" * 508
    change = goes_over(roster, [b"q:a:\xff", most + b"x", b"q:a:" + b"x" * 1_000_000, most, b"z" * 1_000_000])
    assert (most.decode(), 3) == (told(change.added), roster.skipped)
    assert told(roster.noticed(most.decode(), ["\ufffd", "\x07", "x" * 513, ""], T0).added) == "-"


def test_what_the_file_declares_is_not_doubled() -> None:
    """A declared stream gets no second signal, but its undeclared group gets one, and takes all the room."""
    declared = [(STREAM, Labels(stream="q:a:s")), (GROUP, Labels(stream="q:a:s", group="g"))]
    roster = Roster(plan(limit=1), declared)
    assert told(goes_over(roster, ["q:a:s"], 0, "g h").added) == "group h on q:a:s"
    assert (roster.found, roster.held, roster.left_out) == (3, 1, 0)
    goes_over(roster, [], 1)
    assert told(goes_over(roster, [], 4).gone) == "group h on q:a:s"


def test_what_an_earlier_item_finds_is_not_found_again() -> None:
    """Two items of `discover` that overlap: the first has it."""
    first = plan(streams=["q:a:*"], exclude=["q:a:x"])
    roster = Roster(plan(streams=["q:*"]), before=[first])
    assert told(goes_over(roster, ["q:a:s", "q:a:x", "q:b:s"]).added) == "q:a:x, q:b:s"


def test_signals_of_a_named_server_say_which() -> None:
    """As the signals of a file with several servers do."""
    roster = Roster(plan(redis="cache"))
    (key,) = goes_over(roster, ["q:a:s"]).added
    assert SignalKey("a", "stream", Labels(stream="q:a:s", redis="cache")) == key


# ---- room ----------------------------------------------------------------------------------------


def test_no_more_than_the_limit_is_held() -> None:
    """Streams, groups and heartbeats count; what there is no room for is counted, and let in later."""
    roster = Roster(plan(limit=4, forget=1))
    there = ["q:a:1", "q:a:2", "q:a:3"]
    assert len(goes_over(roster, there, 0, "g h").added) == 4
    assert (roster.found, roster.left_out) == (4, 3)  # q:a:3, and both groups of q:a:2
    goes_over(roster, there[1:], 1)
    change = goes_over(roster, there[1:], 2)
    assert told(change.gone) == "group g on q:a:1, group h on q:a:1, q:a:1"
    goes_over(roster, there[1:], 3, "g h")
    assert (roster.found, roster.left_out) == (4, 2)


def test_many_more_than_the_limit_cost_no_memory() -> None:
    """A hundred thousand too many leave nothing behind but their number."""
    roster = Roster(plan(limit=10))
    goes_over(roster, (f"q:a:{i}" for i in range(100_000)))
    assert (roster.found, roster.left_out, len(roster.memory())) == (10, 99_990, 10)


# ---- memory --------------------------------------------------------------------------------------


def test_what_vanished_while_nobody_looked_is_missed_by_the_next_process() -> None:
    """Streams, groups and heartbeats come back as they were, through JSON, and are forgotten in time."""
    both = plan(heartbeats=["svc:{service}"])
    before = Roster(both)
    goes_over(before, ["q:a:s", "q:a:t"], 0, "g h")
    before.begin_round()
    before.take(HEARTBEAT, b"svc:a", None, T0)
    before.sight(STREAM, b"q:a:s")
    before.end_round(T0 + timedelta(minutes=1))
    before.noticed("q:a:s", ["g"], T0 + timedelta(minutes=1))

    after = Roster(both)
    change = after.remember(json.loads(json.dumps(before.memory())))
    assert (len(change.added), after.found) == (7, 7)
    assert sorted(after.missing()) == ["h on q:a:s", "q:a:t"]
    after.begin_round()
    gone = after.end_round(T0 + timedelta(minutes=4)).gone
    assert {"q:a:t", "group g on q:a:t", "group h on q:a:t", "group h on q:a:s"} == {named(k) for k in gone}
    assert sorted(after.missing()) == ["q:a:s", "svc:a"]


def test_memory_of_what_the_file_no_longer_covers_is_dropped() -> None:
    """Another pattern, an exclusion, a declaration, a smaller limit: what is left of it is watched."""
    before = Roster(plan(streams=["q:*"]))
    goes_over(before, ["q:a:s", "q:b:s", "q:c:test"])
    after = Roster(plan(exclude=["*:test"], limit=1), [(STREAM, Labels(stream="q:a:s"))])
    assert told(after.remember(before.memory()).added) == "q:b:s"


SENSELESS: Sequence[object] = [
    None,
    7,
    [],
    [None],
    [None, []],
    ["yesterday", {}],
    [None, {"g": "yesterday"}],
    {"missing": None},
]


@pytest.mark.parametrize("record", SENSELESS, ids=str)
def test_memory_that_makes_no_sense_is_left_out(record: object) -> None:
    """The rest is taken; what is there will be found again."""
    roster = Roster(plan())
    memory = {
        "stream q:a:s": record,
        "stream q:a:t": [None, {"g": None, "\x1b": None}],
        "strem q:a:u": [None, {}],
        "stream": [None, {}],
        "stream q:a:\ud800": [None, {}],
    }
    assert told(roster.remember(memory).added) == "group g on q:a:t, q:a:t"


def test_the_version_changes_with_the_memory_and_only_then() -> None:
    """A quiet round writes nothing."""
    roster = Roster(plan())
    versions, memories = [roster.version], [roster.memory()]
    for minute, there in enumerate([["q:a:s"], ["q:a:s"], [], [], [], [], []]):
        goes_over(roster, there, minute, "g")
        roster.noticed("q:a:s", ["g"], T0 + timedelta(minutes=minute))
        versions.append(roster.version)
        memories.append(roster.memory())
    changed = [one != other for one, other in pairwise(memories)]
    assert changed == [True, False, True, False, False, True, False]
    assert changed == [one != other for one, other in pairwise(versions)]


def test_memory_is_a_value() -> None:
    """What changes later does not change what was remembered before."""
    roster = Roster(plan())
    goes_over(roster, ["q:a:s"], 0, "g")
    before, version = roster.memory(), roster.version
    roster.noticed("q:a:s", [], T0)
    assert before == {"stream q:a:s": [None, {"g": None}]}
    assert roster.memory() == {"stream q:a:s": [None, {"g": T0.timestamp()}]}
    assert roster.version != version


def test_a_clock_that_was_set_back_forgets_nothing() -> None:
    """What went missing in the future is missing."""
    roster = Roster(plan())
    goes_over(roster, ["q:a:s"], 60)
    goes_over(roster, [], 61)
    assert goes_over(roster, [], 0).gone == ()
    assert list(roster.missing()) == ["q:a:s"]


def test_groups_of_an_answer() -> None:
    """The names in the raw reply to XINFO GROUPS, wherever in a row they stand."""
    rows = [[b"name", b"g", b"consumers", 0], [b"pending", 0, b"name", b"\xff"]]
    assert groups_of(rows) == ("g", "\ufffd")
