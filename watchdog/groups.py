"""
A consumer group from look to look: what changed, since when, how fast, and what was lost.

`GroupLook` is all that is kept of a group. It is made from the one before and from what Redis said
now, and never changes; a group that rests keeps the one it has, however long that is.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from watchdog.backlog import (
    NO_BACKLOG,
    NOWHERE,
    Backlog,
    Place,
    Provenance,
    Walk,
    place_of,
    removed_of,
    settle,
)
from watchdog.entries import EntryId
from watchdog.facts import ConsumerFacts, GroupFacts, StreamFacts

WINDOW = 300.0
"""How many seconds back a verdict reaches."""
GRAIN = 10.0
"""Marks are at least so many seconds apart: more would tell no more of a trend."""
GHOST_AFTER = 3600.0
"""A consumer idle for so many seconds that still holds entries is a ghost, unless the file says otherwise."""
JITTER = 1.0
"""Redis tells how long ago, we reckon when that was: from look to look it differs by less, in seconds."""
BEFORE_STREAMS = 1_500_000_000_000
"""Milliseconds of July 2017. An ID below is no time: Redis had no streams yet."""


class Mark(NamedTuple):
    """
    A point on the curve of a backlog.

    *drift* is what Redis' counters make of it: wrong perhaps, but its change is the backlog's.
    """

    at: float
    waiting: int | None
    drift: int | None
    length: int
    removed: int | None
    deleted: EntryId | None


class Delivery(NamedTuple):
    """One pending entry: who holds it, and how often it was delivered."""

    entry: EntryId
    holder: str
    times: int


class Holders(NamedTuple):
    """
    Who works on the group and who holds what, asked for now and then.

    *quiet_at* is when a consumer last succeeded, *tried_at* when one last tried where Redis tells that
    apart (7.2). *ghosts* and *deliveries* are None where this user may not ask. *bodies_gone* counts
    pending entries without a body, *bodies_all* says that all pending ones were looked at.
    """

    at: float
    quiet_at: float | None = None
    tried_at: float | None = None
    ghosts: tuple[tuple[str, int], ...] | None = ()
    deliveries: tuple[Delivery, ...] | None = ()
    bodies_gone: int | None = 0
    bodies_all: bool = True

    def say_the_same(self, before: Holders, *, moved: bool) -> bool:
        """Say whether nothing changed that is told; who worked when is not, once the group *moved*."""
        if self[3:] != before[3:]:
            return False
        was, now = before.quiet_at, self.quiet_at
        return moved or was is now or (was is not None and now is not None and abs(was - now) < JITTER)


class GroupLook(NamedTuple):
    """
    What is known of a group after a look.

    All moments are seconds since the epoch. *began* is the first look, *since* and *read_since* are the
    moments from which on no loss and no delivery was missed. *head_at* is since when the oldest
    undelivered entry waits, *moved_at* when the position was last seen to move, *unacked_at* when the
    first delivery after the last acknowledgement was seen. *lost* counts in this look, *lost_in_all*
    since the first; *read* is None where it cannot be told.
    """

    at: float
    began: float
    since: datetime
    read_since: datetime
    stream: StreamFacts
    group: GroupFacts
    consumers: tuple[ConsumerFacts, ...] | None
    holders: Holders
    ordinal: int | None
    waiting: int | None
    provenance: Provenance
    walk: Walk | None
    head: EntryId | None
    head_at: float | None
    oldest: EntryId | None
    oldest_at: float | None
    pending_told: bool
    read: int | None
    lost: int
    lost_in_all: int
    lost_at: float | None
    rewound_at: float | None
    moved_at: float | None
    unacked_at: float | None
    marks: tuple[Mark, ...]
    refused: tuple[str, ...]

    @property
    def entries_wait(self) -> bool:
        """Say whether an entry of the stream was not yet delivered to the group."""
        return self.waiting != 0

    def says_the_same(self, before: GroupLook) -> bool:
        """Say whether all there is to tell was told after the look *before*."""
        return (
            not self.lost
            and not self.read
            and all(self[part] == before[part] for part in STANDING)
            and self.holders.say_the_same(before.holders, moved=self.moved_at is not None)
        )

    @property
    def place(self) -> Place:
        """Return what the next look is held against."""
        return place_of(self.stream, self.group, self.ordinal)


def _parts(*names: str) -> tuple[slice, ...]:
    """Return what of a look stands between each two of *names*, the first included."""
    places = [GroupLook._fields.index(name) for name in names]
    return tuple(slice(*pair) for pair in zip(places[::2], places[1::2], strict=True))


STANDING = (
    *_parts("began", "holders", "ordinal", "read"),
    slice(GroupLook._fields.index("lost_in_all"), None),
)
"""All of a look but when it was, who works, and what happened since the one before."""


class Found(NamedTuple):
    """
    What one look brought; *oldest* is the oldest pending entry.

    *pending_told* is false where this user may not ask for it, *holders* is None where nobody asked.
    """

    stream: StreamFacts
    group: GroupFacts
    backlog: Backlog = NO_BACKLOG
    oldest: EntryId | None = None
    pending_told: bool = True
    holders: Holders | None = None
    consumers: tuple[ConsumerFacts, ...] | None = None
    refused: tuple[str, ...] = ()


def look_on(before: GroupLook | None, place: Place | None, found: Found, now: datetime) -> GroupLook:
    """
    Return what is known now that *found* was found.

    *before* is the look before, None at first and after the group was missing; *place* is where the
    group was last, which an earlier process may have left.
    """
    at = now.timestamp()
    stream, group, backlog = found.stream, found.group, found.backlog
    settled = settle(place, stream, group, backlog.exact)
    waiting, head = backlog.number, backlog.head
    read = _read(before, settled.ordinal, group)
    head_at = oldest_at = moved_at = unacked_at = rewound_at = lost_at = None
    moved = before is not None and group.delivered != before.group.delivered
    if before is not None:
        rewound_at, lost_at, moved_at = before.rewound_at, before.lost_at, before.moved_at
    if place is not None and place is not NOWHERE and group.delivered < place.delivered:
        rewound_at = at
    if moved:
        moved_at = at
    if settled.lost:
        lost_at = at
    if waiting != 0:
        head_at = _since(head, at, before.head if before else None, before.head_at if before else None)
    if group.pending:
        oldest_at = _since(
            found.oldest, at, before.oldest if before else None, before.oldest_at if before else None
        )
        unacked_at = _unacked(before, found, moved, at)
    return GroupLook(
        at=at,
        began=before.began if before is not None else at,
        since=now if before is None or not settled.sure else before.since,
        read_since=now if before is None or read is None else before.read_since,
        stream=stream,
        group=group,
        consumers=found.consumers,
        holders=found.holders or (before.holders if before is not None else Holders(at)),
        ordinal=settled.ordinal,
        waiting=waiting,
        provenance=backlog.provenance,
        walk=backlog.walk,
        head=head,
        head_at=head_at,
        oldest=found.oldest if group.pending else None,
        oldest_at=oldest_at,
        pending_told=found.pending_told,
        read=read,
        lost=settled.lost,
        lost_in_all=settled.lost + (before.lost_in_all if before is not None else 0),
        lost_at=lost_at,
        rewound_at=rewound_at,
        moved_at=moved_at,
        unacked_at=unacked_at,
        marks=_marked(before.marks if before is not None else (), found, at) if waiting != 0 else (),
        refused=found.refused,
    )


def _since(entry: EntryId | None, at: float, before: EntryId | None, seen: float | None) -> float:
    """Return since when *entry* waits: its own time, or from when it was first seen if that is none."""
    first_seen = seen if entry == before and seen is not None else at
    if entry is None or entry.ms < BEFORE_STREAMS:
        return first_seen
    return min(entry.ms / 1000, first_seen)


def _unacked(before: GroupLook | None, found: Found, moved: bool, at: float) -> float | None:
    """Return when the first delivery after the last acknowledgement was seen; in doubt there was one."""
    if before is None:
        return None
    given = _given(before, found.group) if moved else 0
    acknowledged = given is None or found.group.pending < before.group.pending + given
    if before.oldest is not None and found.oldest is not None and found.oldest > before.oldest:
        acknowledged = True
    if acknowledged:
        return None
    return before.unacked_at if before.unacked_at is not None or not moved else at


def _given(before: GroupLook, group: GroupFacts) -> int | None:
    """Return how many entries Redis counted as delivered since *before*, None if it did not count."""
    if group.read is None or before.group.read is None or group.read < before.group.read:
        return None
    return group.read - before.group.read


def _read(before: GroupLook | None, ordinal: int | None, group: GroupFacts) -> int | None:
    """Return how many entries were delivered since *before*, None where that cannot be told."""
    if before is None or group.delivered == before.group.delivered:
        return 0
    if group.delivered < before.group.delivered or group.read is None:
        return None  # NULL: set by hand, or entries were deleted ahead
    given = _given(before, group)
    if ordinal is None or before.ordinal is None:
        return given
    passed = max(0, ordinal - before.ordinal)
    return passed if given is None else min(passed, given)


# ---- marks -------------------------------------------------------------------------------------


def _marked(marks: tuple[Mark, ...], found: Found, at: float) -> tuple[Mark, ...]:
    """Return *marks* with one for now, thinned, without those older than the window."""
    stream, group = found.stream, found.group
    drift = None if stream.added is None or group.read is None else stream.added - group.read
    mark = Mark(
        at, found.backlog.exact, drift, stream.length, removed_of(stream), stream.deleted
    )  # fmt: skip
    if len(marks) > 1 and at - marks[-2].at < GRAIN:
        marks = marks[:-1]
    first = 0
    while len(marks) - first > 1 and at - marks[first].at > WINDOW:  # however seldom it looks, one stays
        first += 1
    return (*marks[first:], mark)


# ---- who holds what ----------------------------------------------------------------------------


def quiet_ms(consumer: ConsumerFacts) -> int:
    """Return for how long it has not succeeded; who never did counts by its last attempt."""
    return consumer.idle_ms if consumer.inactive_ms is None else consumer.inactive_ms


def holders_of(
    consumers: tuple[ConsumerFacts, ...] | None,
    deliveries: tuple[Delivery, ...] | None,
    bodies: tuple[int | None, bool],
    at: float,
    ghost_after: float = GHOST_AFTER,
) -> Holders:
    """Return what *consumers* and the oldest pending entries come to."""
    rows = consumers or ()
    quiet = min(map(quiet_ms, rows), default=None)
    apart = any(one.inactive_ms is not None for one in rows)
    tried = min((one.idle_ms for one in rows), default=0) if apart else None
    ghosts = ((c.name, c.pending) for c in rows if c.pending and quiet_ms(c) > ghost_after * 1000)
    return Holders(
        at,
        quiet_at=None if quiet is None else at - quiet / 1000,
        tried_at=None if tried is None else at - tried / 1000,
        ghosts=None if consumers is None else tuple(ghosts),
        deliveries=deliveries,
        bodies_gone=bodies[0],
        bodies_all=bodies[1],
    )
