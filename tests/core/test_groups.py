"""What is known of a group from look to look: proofs of its backlog, what was lost, how fast it goes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.core.windows import looks
from tests.drawn import T0, ids, rows
from watchdog.backlog import (
    NOWHERE,
    Place,
    Provenance,
    Walk,
    by_counters,
    by_ids,
    extended,
    settle,
    taken_up,
)
from watchdog.entries import EntryId
from watchdog.estimates import catch_up, time_to_loss
from watchdog.facts import ConsumerFacts, GroupFacts, StreamFacts
from watchdog.groups import Delivery, Found, Mark, holders_of, look_on


def at(number: int) -> EntryId:
    """Return the ID of entry *number*."""
    return EntryId(number, 0)


def stream(
    *, first: int = 1, last: int = 100, length: int = 100, added: int | None = 100, deleted: int | None = 0
) -> StreamFacts:
    """Return the facts of a stream; by default entries 1 to 100, none ever removed."""
    empty = length == 0
    return StreamFacts(
        length=length,
        generated=at(last),
        first=None if empty else at(first),
        last=None if empty else at(last),
        added=added,
        deleted=None if deleted is None else at(deleted),
        groups=1,
        radix_keys=1,
        radix_nodes=1,
    )


def group(position: int, read: int | None = None, pending: int = 0, consumers: int = 1) -> GroupFacts:
    """Return the facts of a group at *position*."""
    return GroupFacts(at(position), pending, consumers, read, None, counts=True)


def stood(position: int, ordinal: int | None, read: int | None = None, **like: int) -> Place:
    """Return the place of a group that stood at *position* in the default stream, or one *like* that."""
    was = stream(**like)
    return Place(
        at(position), ordinal, read, was.added, was.length, was.generated, was.first, was.deleted
    )  # fmt: skip


BY_IDS = """
  position | first | last | length | backlog
  0        | 1     | 100  | 0      | 0
  100      | 1     | 100  | 100    | 0
  120      | 1     | 100  | 100    | 0
  0        | 1     | 100  | 100    | 100
  40       | 41    | 100  | 60     | 60
  40       | 51    | 100  | 50     | 50
  41       | 41    | 100  | 60     | 59
  42       | 41    | 100  | 60     | -
"""


@pytest.mark.parametrize(("position", "first", "last", "length", "backlog"), rows(BY_IDS), ids=ids(BY_IDS))
def test_what_ids_alone_prove(position: str, first: str, last: str, length: str, backlog: str) -> None:
    """An empty stream, a position behind the last entry, before the first, on it; no counter is asked."""
    facts = stream(first=int(first), last=int(last), length=int(length), added=None, deleted=None)
    told = by_ids(facts, at(int(position)))
    assert (told and str(told.number)) == (None if backlog == "-" else backlog)
    assert told is None or told.provenance is Provenance.REPORTED


BY_COUNTERS = """
  was                          | now                                         | group    | backlog
  50 ordinal=50 read=50        | last=110 length=110 added=110               | 60 r=60  | 50
  50 ordinal=50 read=9         | last=110 length=110 added=110               | 60 r=19  | 50
  50 ordinal=50                | last=110 length=110 added=110               | 50       | 60
  50 ordinal=50 read=50        | first=41 last=110 length=70 added=110       | 60 r=60  | 50
  50 ordinal=50 read=50        | last=110 length=108 added=110 deleted=30    | 60 r=60  | 50
  50 ordinal=50 read=50        | first=51 last=110 length=60 added=110       | 60 r=60  | -
  50 ordinal=50 read=50        | last=110 length=109 added=110 deleted=55    | 60 r=60  | -
  50 ordinal=50 read=50        | last=110 length=109 added=110 deleted=70    | 50       | -
  50 ordinal=50                | last=110 length=110 added=110               | 60 r=60  | -
  50 ordinal=50 read=50        | last=110 length=110 added=110               | 60       | -
  50 read=50                   | last=110 length=110 added=110               | 60 r=60  | -
  50 ordinal=50 read=50        | last=110 length=110 added=110               | 40 r=60  | -
  50 ordinal=50 read=50        | last=110 length=110 added=110               | 60 r=160 | -
  50 ordinal=50 read=50        | last=110 length=110 added=110               | 60 r=50  | -
  50 ordinal=50 read=50        | last=100 length=100 added=200               | 60 r=60  | -
  50 ordinal=50 read=50        | last=110 length=110 added=1110              | 60 r=60  | -
  50 ordinal=50 read=50        | last=110 length=110 added=109               | 60 r=60  | -
  50 ordinal=50                | last=110 length=100 added=100               | 50       | -
  50 ordinal=50                | last=110 length=99 added=100                | 50       | -
  50 ordinal=50                | last=110 length=109 added=110 deleted=1     | 50       | -
"""


def parsed(text: str) -> dict[str, int]:
    """Return the figures of ``name=1 other=2``."""
    return {name: int(number) for name, _, number in (item.partition("=") for item in text.split())}


@pytest.mark.parametrize(("was", "now", "who", "backlog"), rows(BY_COUNTERS), ids=ids(BY_COUNTERS))
def test_what_position_and_counters_prove_together(was: str, now: str, who: str, backlog: str) -> None:
    """
    The chain of ordinals holds while nothing ahead was removed and Redis counted every delivery.

    It breaks where trimming reaches the position, a tombstone lies ahead, `entries-read` is NULL or out of
    bounds, the position went back, or XSETID was at the counters.
    """
    position, _, figures = was.partition(" ")
    before = parsed(figures)
    place = stood(int(position), before.get("ordinal"), before.get("read"))
    here, _, read = who.partition(" r=")
    told = by_counters(place, stream(**parsed(now)), group(int(here), int(read) if read else None))
    assert (told and str(told.number)) == (None if backlog == "-" else backlog)


# ---- counting ----------------------------------------------------------------------------------


def test_a_count_in_pages() -> None:
    """A full page is a lower bound, the next goes on from its end, one that is not full ends the count."""
    facts, who = stream(added=107, deleted=80, length=100), group(50)
    walk = taken_up(None, facts, who)
    first = extended(walk, [at(51), at(52), at(53)], 3, facts, who)
    assert (first.number, first.provenance, first.head) == (3, Provenance.AT_LEAST, at(51))
    assert first.walk is not None
    second = extended(first.walk, [at(54)], 3, facts, who)
    assert (second.number, second.provenance, second.head) == (4, Provenance.COUNTED, None)


WALKS = """
  what happened                     | was        | stream                          | group   | counted
  nothing                           | deleted=80 | deleted=80 length=95            | 50 r=50 | 20
  more was added                    | deleted=80 | deleted=80 length=96 added=101 last=101 | 50 r=50 | 20
  something was removed             | deleted=80 | deleted=80 length=94            | 50 r=50 | 0
  removed, but all of it behind     | deleted=30 | deleted=40 length=94            | 50 r=50 | 20
  trimmed, but all of it behind     | deleted=30 | deleted=30 first=5 length=92    | 50 r=50 | 20
  removed, and XSETID hides it      | deleted=80 | deleted=90 length=94 added=99   | 50 r=50 | 0
  the same, and more was added      | deleted=80 | deleted=90 length=96 added=101 last=102 | 50 r=50 | 0
  trimmed, and XSETID hides it      | deleted=80 | deleted=80 first=3 length=95 added=100 | 50 r=50 | 0
  removed, and no tombstone says so | deleted=30 | deleted=30 length=94            | 50 r=50 | 0
  removed, the tombstone was set back | deleted=80 | deleted=40 length=94          | 50 r=50 | 0
  read on, nothing ahead is missing | deleted=40 | deleted=40 length=95            | 58 r=58 | 12
  read on, a tombstone ahead        | deleted=80 | deleted=80 length=95            | 58 r=58 | 0
  read on, Redis did not count      | deleted=40 | deleted=40 length=95            | 58      | 0
  read on beyond what was counted   | deleted=40 | deleted=40 length=95            | 90 r=90 | 0
  set back                          | deleted=40 | deleted=40 length=95            | 20 r=50 | 0
"""


@pytest.mark.parametrize(
    ("what", "was", "now", "who", "counted"), rows(WALKS), ids=[row[0] for row in rows(WALKS)]
)
def test_when_a_count_is_taken_up_again(what: str, was: str, now: str, who: str, counted: str) -> None:
    """What was counted stays counted as long as none of it can have been removed."""
    walk = Walk(at(50), 50, at(72), 20, stream(length=95, **parsed(was)))
    position, _, read = who.partition(" r=")
    again = taken_up(walk, stream(**parsed(now)), group(int(position), int(read) if read else None))
    assert again.counted == int(counted)


def test_a_group_that_moves_while_it_is_counted() -> None:
    """What it passed meanwhile does not wait; set back, the count begins anew."""
    facts = stream(added=107, deleted=80)
    walk = taken_up(None, facts, group(50))
    page = [at(number) for number in range(51, 60)]
    assert extended(walk, page, 10, facts, group(53)).number == 6
    anew = extended(walk, page, 10, facts, group(40))
    assert (anew.number, anew.walk and anew.walk.base) == (None, at(40))


# ---- loss --------------------------------------------------------------------------------------

LOSSES = """
  what                                   | was                   | now                                 | group     | lost
  trimmed behind it                      | 50 ordinal=50 read=50 | first=41 length=60                  | 50 r=50   | 0
  trimmed up to it                       | 50 ordinal=50 read=50 | first=51 length=50                  | 50 r=50   | 0
  trimmed beyond it                      | 50 ordinal=50 read=50 | first=61 length=40                  | 50 r=50   | 10
  all that waited                        | 50 ordinal=50 read=50 | length=0                            | 50 r=50   | 50
  all, nothing had waited                | 100 ordinal=100       | length=0                            | 100       | 0
  again, since the look before           | 50 ordinal=60 read=50 | first=71 length=30                  | 50 r=50   | 10
  deleted ahead as well                  | 50 ordinal=50 read=50 | first=61 length=39 deleted=90       | 50 r=50   | 0?
  nobody knows where it stood            | 50                    | first=61 length=40                  | 50 r=50   | 0?
  read on, Redis counted none of the gone | 50 ordinal=50 read=50 | first=61 length=40                 | 65 r=55   | 10?
  read on, perhaps before                | 50 ordinal=50 read=50 | first=61 length=40                  | 65 r=65   | 0?
  read on, still behind the edge         | 50 ordinal=50 read=50 | first=61 length=40                  | 55 r=55   | 5?
  read on, what waits not yet counted    | 50 ordinal=50 read=50 | first=61 length=40 walk=1           | 65 r=53   | 7?
  read on, Redis did not count           | 50 ordinal=50 read=50 | first=61 length=40                  | 65        | 0?
  a false entries-read                   | 50 ordinal=50 read=70 | first=61 length=40                  | 65 r=75   | 0?
  set back                               | 50 ordinal=50 read=50 | first=61 length=40                  | 20        | 0?
  XSETID                                 | 50 ordinal=50 read=50 | first=61 length=40 added=1100       | 50 r=50   | 0?
  before 7.0, trimmed behind it          | 50                    | first=41 length=60 old=1            | 50        | 0
  before 7.0, trimmed beyond it          | 50                    | first=61 length=40 old=1            | 50        | 0?
  before 7.0, set back and trimmed       | 50                    | first=41 length=60 old=1            | 20        | 0?
"""


@pytest.mark.parametrize(
    ("what", "was", "now", "who", "lost"), rows(LOSSES), ids=[row[0] for row in rows(LOSSES)]
)
def test_losses(what: str, was: str, now: str, who: str, lost: str) -> None:
    """
    What was trimmed beyond the position is lost; what may as well have been deleted or read is not claimed.

    `?` marks a number that may be too small.
    """
    position, _, figures = was.partition(" ")
    before, after = parsed(figures), parsed(now)
    old, walking = after.pop("old", 0), after.pop("walk", 0)
    facts = stream(**after)
    facts = facts._replace(added=None, deleted=None) if old else facts
    here, _, read = who.partition(" r=")
    exact = by_ids(facts, at(int(here)))
    if exact is None and not old and not walking:
        exact_number: int | None = sum(number > int(here) for number in range(after["first"], 101))
    else:
        exact_number = exact and exact.number
    place = stood(int(position), before.get("ordinal"), before.get("read"))
    place = place._replace(added=None, deleted=None) if old else place
    settled = settle(place, facts, group(int(here), int(read) if read else None), exact_number)
    assert f"{settled.lost}{'' if settled.sure else '?'}" == lost


FIRST = """
  what                                | group              | lost
  it has read, the rest is gone       | 50 r=50            | 10
  it never read                       | 0                  | 0
  made there, and nobody was ever in it | 50 r=50 nobody   | 0
"""


@pytest.mark.parametrize(("what", "who", "lost"), rows(FIRST), ids=[row[0] for row in rows(FIRST)])
def test_losses_before_the_first_look(what: str, who: str, lost: str) -> None:
    """A group that has read is taken at Redis' word; of one that has not, nobody knows when it was made."""
    position, _, rest = who.partition(" r=")
    read = int(rest.split()[0]) if rest else None
    found = group(int(position), read, consumers=0 if "nobody" in who else 1)
    settled = settle(None, stream(first=61, length=40), found, 40)
    assert (settled.lost, settled.sure) == (int(lost), False)


def test_a_position_in_the_future_has_no_ordinal() -> None:
    """XGROUP CREATE may put it beyond the newest entry: what comes in below it is never delivered, nor lost."""
    assert settle(None, stream(), group(100), 0).ordinal == 100
    assert settle(None, stream(), group(101), 0).ordinal is None


def test_nothing_is_lost_to_a_group_that_was_missing() -> None:
    """What is gone when it comes into being was never promised to it."""
    settled = settle(NOWHERE, stream(first=61, length=40), group(0), 40)
    assert (settled.ordinal, settled.lost, settled.sure) == (60, 0, False)


def test_a_loss_is_added_up_and_a_doubt_is_told() -> None:
    """`since` is the moment from which on nothing was missed."""
    window = looks(
        "t=0 at=50 read=50 lag=50 wait=5 ; t=5 first=61 gone=60 len=40 lag=40"
        "; t=10 first=71 gone=70 len=30 lag=30 ; t=15 first=81 gone=80 len=20 lag=20 del=90"
    )
    assert [(look.lost, look.lost_in_all) for look in window] == [(0, 0), (10, 10), (10, 20), (0, 20)]
    assert [look.since for look in window] == [T0, T0, T0, T0 + timedelta(seconds=15)]


# ---- how fast ----------------------------------------------------------------------------------

ESTIMATES = """
  window                                                                  | catch up | loss
  t=0 lag=100 wait=9 ; t=60 lag=40                                        | 40       | -
  t=0 lag=100 wait=9 ; t=60 lag=0 wait=-                                  | -        | -
  t=0 lag=100 wait=9 ; t=60 lag=100                                       | -        | -
  t=0 lag=100 wait=9 ; t=29 lag=40                                        | -        | -
  t=0 lag=100 wait=9 ; t=30 lag=70                                        | 70       | -
  t=0 lag=- wait=9 read=- ; t=60 lag=40                                   | -        | -
  t=0 lag=50+ wait=9 ; t=60 lag=40+ read=160                              | 40       | -
  t=0 at=90 lag=10 wait=9 ; t=60 new=200 lag=40 gone=100                  | -        | 120
  t=0 at=90 lag=10 wait=9 ; t=60 new=200 lag=100 gone=100                 | -        | 0
  t=0 at=90 lag=10 wait=9 ; t=60 new=200 lag=40 len=200                   | -        | -
  t=0 at=90 lag=10 wait=9 ; t=60 new=200 lag=40 gone=100 del=95           | -        | -
  t=0 at=90 lag=10 wait=9 ; t=60 new=200 lag=40+ gone=100                 | -        | -
  t=0 at=90 lag=10 wait=9                                                 | -        | -
"""


@pytest.mark.parametrize(("text", "clear", "loss"), rows(ESTIMATES), ids=ids(ESTIMATES))
def test_estimates(text: str, clear: str, loss: str) -> None:
    """Seconds at the present pace; `-` where it cannot be told or does not come."""
    last = looks(text)[-1]
    assert ["-" if told is None else f"{told:g}" for told in (catch_up(last), time_to_loss(last))] == [
        clear,
        loss,
    ]


def test_before_7_0_trimming_shows_in_the_length() -> None:
    """A length that stands while the backlog grows: entries go at the other end."""
    (last,) = looks("t=0 at=90 lag=40 wait=9")
    marks = [Mark(last.at + t, lag, None, 100, None, None) for t, lag in ((-60, 10), (0, 40))]
    assert time_to_loss(last._replace(marks=tuple(marks))) == 120


def test_marks_are_few_however_often_it_looks() -> None:
    """Ten seconds apart and five minutes back; without a backlog there are none."""
    window = looks(";".join(f"t={t} lag={1 + t} wait=5" for t in range(900)) + "; t=901 lag=0 wait=-")
    busy = window[-2].marks
    assert 25 <= len(busy) <= 35
    assert busy[-1].at - busy[0].at <= 300
    assert window[-1].marks == ()


def test_of_marks_long_ago_one_stays_however_seldom_it_looks() -> None:
    """A look every ten minutes still has a pace."""
    window = looks("t=0 lag=1000 wait=5 ; t=600 lag=400 ; t=1200 lag=100")
    assert [mark.at - window[0].at for mark in window[-1].marks] == [600, 1200]


# ---- since when --------------------------------------------------------------------------------


def test_an_id_that_is_no_time_ages_from_when_it_was_first_seen() -> None:
    """IDs may be counters (1-0, 2-0), and may lie in the future."""
    (before,) = looks("t=0")
    future = EntryId(round((before.at + 999) * 1000), 0)
    for entry in (EntryId(7, 0), future):
        found = Found(before.stream, group(90, 90, pending=1), oldest=entry)
        once = look_on(before, before.place, found, T0 + timedelta(seconds=10))
        twice = look_on(once, once.place, found, T0 + timedelta(seconds=70))
        assert (once.oldest_at, twice.oldest_at) == (before.at + 10, before.at + 10)


HOLDERS = """
  consumers                                   | quiet | tried | ghosts
  -                                           | -     | -     | -
  a pending=0 idle=5                          | 5     | -     | -
  a pending=0 idle=5 inactive=9               | 9     | 5     | -
  a pending=0 idle=5 ; b pending=0 idle=2     | 2     | -     | -
  a pending=1 idle=3601                       | 3601  | -     | a
  a pending=1 idle=3600                       | 3600  | -     | -
  a pending=0 idle=3601                       | 3601  | -     | -
  a pending=1 idle=1 inactive=3601            | 3601  | 1     | a
  a pending=1 idle=1 ; b pending=2 idle=9999  | 1     | -     | b
"""


@pytest.mark.parametrize(("drawn", "quiet", "tried", "ghosts"), rows(HOLDERS), ids=ids(HOLDERS))
def test_who_works_and_who_is_gone(drawn: str, quiet: str, tried: str, ghosts: str) -> None:
    """The shortest time since a success and, from 7.2 on, since an attempt; ghosts hold entries and do nothing."""
    consumers = []
    for one in drawn.split(";") if drawn != "-" else []:
        name, _, rest = one.strip().partition(" ")
        said = parsed(rest)
        inactive = said.get("inactive")
        consumers.append(
            ConsumerFacts(
                name, said["pending"], said["idle"] * 1000, None if inactive is None else inactive * 1000
            )
        )
    told = holders_of(tuple(consumers), (Delivery(at(1), "a", 1),), (0, True), 10_000.0)
    assert [
        "-" if told.quiet_at is None else f"{10_000 - told.quiet_at:g}",
        "-" if told.tried_at is None else f"{10_000 - told.tried_at:g}",
        " ".join(name for name, _ in told.ghosts or ()) or "-",
    ] == [quiet, tried, ghosts]
