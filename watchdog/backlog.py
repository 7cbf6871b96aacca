"""
How many entries a group has still to be given: what can be proven, and what has to be counted.

Redis' own counters are one witness among several. ``entries-read`` may be a lie of XGROUP's
(redis issue 14257), misses what was trimmed or deleted unread (13337, 13957, valkey 1951), and is NULL
for good in a group whose consumers delete. IDs never lie: what lies before the first entry or
behind the last needs no counter. In between, a position whose *ordinal* was once proven stays
proven while nothing ahead of it was removed; all else is counted (docs/explanation/consumer-groups.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from watchdog.entries import ORIGIN, EntryId
from watchdog.facts import GroupFacts, StreamFacts


class Provenance(StrEnum):
    """Where the number of undelivered entries comes from."""

    REPORTED = "reported"  # IDs and counters prove it
    COUNTED = "counted"  # entry by entry
    AT_LEAST = "at_least"  # counted so far
    UNKNOWN = "unknown"


class Place(NamedTuple):
    """
    Where a group stood when last looked at, and what the stream was like.

    *ordinal* is how many of the entries ever added it was given or can be given no more, None where
    that cannot be told.
    """

    delivered: EntryId
    ordinal: int | None
    read: int | None
    added: int | None
    length: int
    generated: EntryId
    first: EntryId | None = None
    deleted: EntryId | None = None


NOWHERE = Place(ORIGIN, None, None, None, 0, ORIGIN)
"""The place of a group that was looked for and not there."""


class Walk(NamedTuple):
    """
    Entries gone through one by one: *counted* of them, from *base*, the group's position, up to *to*.

    *stream* is what the stream was like then: what is not as it was may have taken some of them.
    """

    base: EntryId
    read: int | None
    to: EntryId
    counted: int
    stream: StreamFacts


class Backlog(NamedTuple):
    """A number of undelivered entries with its provenance, and the first of them where it is known."""

    number: int | None
    provenance: Provenance
    head: EntryId | None = None
    walk: Walk | None = None

    @property
    def exact(self) -> int | None:
        """Return the number where it is no mere bound."""
        return None if self.provenance is Provenance.AT_LEAST else self.number


NO_BACKLOG = Backlog(0, Provenance.REPORTED)


def place_of(stream: StreamFacts, group: GroupFacts, ordinal: int | None) -> Place:
    """Return what the next look is held against."""
    return Place(
        group.delivered,
        ordinal,
        group.read,
        stream.added,
        stream.length,
        stream.generated,
        stream.first,
        stream.deleted,
    )


def removed_of(facts: StreamFacts | Place) -> int | None:
    """Return how many entries the stream ever lost, to trimming or to deletion; None before 7.0."""
    return None if facts.added is None else facts.added - facts.length


def by_ids(stream: StreamFacts, delivered: EntryId) -> Backlog | None:
    """Return the backlog of a group at *delivered* where the IDs alone prove it, else None."""
    if stream.first is None or stream.last is None or delivered >= stream.last:
        return NO_BACKLOG
    if delivered < stream.first:
        return Backlog(stream.length, Provenance.REPORTED, stream.first)
    if delivered == stream.first:
        return Backlog(stream.length - 1, Provenance.REPORTED)
    return None


def untouched_ahead(stream: StreamFacts, position: EntryId) -> bool:
    """Say whether every entry ever added after *position* is still there."""
    if stream.deleted is None or stream.first is None:
        return False
    return stream.deleted <= position and stream.first <= position


def meddled(place: Place | StreamFacts, stream: StreamFacts) -> bool:
    """
    Say whether the stream's counters moved since *place* as only a hand moves them.

    XSETID may set them to anything, and a stream made anew begins again. An entry deleted out of the
    midst looks the same; then nothing is lost but a proof, and the entries are counted.
    """
    gone, before = removed_of(stream), removed_of(place)
    if gone is None or before is None or place.added is None or stream.added is None:
        return (gone is None) is not (before is None) or stream.generated < place.generated
    if stream.added < place.added or gone < before or stream.generated < place.generated:
        return True
    if (stream.generated == place.generated) is not (stream.added == place.added):
        return True
    if place.deleted is not None and (stream.deleted or ORIGIN) < place.deleted:
        return True
    if gone == before:  # nothing was removed, so no edge can have moved
        return (place.first is not None and stream.first != place.first) or (
            place.deleted is not None and stream.deleted != place.deleted
        )
    if place.first is not None:
        said = max(place.deleted or ORIGIN, place.first)
        if stream.first == place.first and (stream.deleted or ORIGIN) <= said:
            return True  # what is gone lay behind the first, and no tombstone says so
        kept_all = stream.first is not None and max(stream.first, stream.deleted or ORIGIN) <= place.generated
        return kept_all and stream.added - place.added >= stream.length
    return False


def ordinal_by_counters(place: Place | None, stream: StreamFacts, group: GroupFacts) -> int | None:
    """
    Return the ordinal of the group's position as *place* and Redis' counters prove it, else None.

    Redis counts one for each entry it delivers; that is the way in ordinals as long as nothing that lay
    ahead of the old position was removed.
    """
    if place is None or place.ordinal is None or stream.added is None or meddled(place, stream):
        return None
    if group.delivered == place.delivered:
        return place.ordinal
    if group.delivered < place.delivered or not untouched_ahead(stream, place.delivered):
        return None
    if group.read is None or place.read is None:
        return None
    ordinal = place.ordinal + group.read - place.read
    return ordinal if place.ordinal < ordinal < stream.added else None


def by_counters(place: Place | None, stream: StreamFacts, group: GroupFacts) -> Backlog | None:
    """Return the backlog where position and counters prove it together, else None."""
    ordinal = ordinal_by_counters(place, stream, group)
    if ordinal is None or stream.added is None or not untouched_ahead(stream, group.delivered):
        return None
    number = stream.added - ordinal
    return Backlog(number, Provenance.REPORTED) if 0 < number < stream.length else None


# ---- counting ----------------------------------------------------------------------------------


def begin(stream: StreamFacts, group: GroupFacts) -> Walk:
    """Return the walk that has not yet counted anything."""
    return Walk(group.delivered, group.read, group.delivered, 0, stream)


def taken_up(walk: Walk | None, stream: StreamFacts, group: GroupFacts) -> Walk:
    """Return *walk* as it stands now that the group may have moved; begun anew where that cannot be told."""
    if walk is None or meddled(walk.stream, stream):
        return begin(stream, group)
    whole = untouched_ahead(stream, walk.base)
    if group.delivered == walk.base:
        same = stream.added is not None and removed_of(stream) == removed_of(walk.stream)
        return walk if whole or same else begin(stream, group)
    if whole and walk.base < group.delivered <= walk.to and None not in (walk.read, group.read):
        given = (group.read or 0) - (walk.read or 0)
        if 0 < given < walk.counted:
            return Walk(group.delivered, group.read, walk.to, walk.counted - given, stream)
    return begin(stream, group)


def extended(
    walk: Walk, page: Sequence[EntryId], asked: int, stream: StreamFacts, group: GroupFacts
) -> Backlog:
    """
    Return the backlog once *page*, the entries after ``walk.to``, is known; *asked* is its size if full.

    *stream* and *group* are the facts of the page's own moment.
    """
    if group.delivered < walk.base or (walk.counted and taken_up(walk, stream, group) != walk):
        return Backlog(None, Provenance.UNKNOWN, walk=begin(stream, group))
    ahead = [entry for entry in page if entry > group.delivered]
    count = walk.counted + len(ahead)
    onward = Walk(
        group.delivered, group.read, ahead[-1] if ahead else max(walk.to, group.delivered), count, stream
    )  # fmt: skip
    head = ahead[0] if ahead and not walk.counted else None
    provenance = Provenance.AT_LEAST if len(page) == asked else Provenance.COUNTED
    return Backlog(count, provenance, head, onward)


# ---- loss --------------------------------------------------------------------------------------


class Settled(NamedTuple):
    """
    What the way from one look to the next comes to.

    *lost* entries were trimmed before they were delivered; *sure* says that it is not one more.
    """

    ordinal: int | None
    lost: int
    sure: bool


def settle(place: Place | None, stream: StreamFacts, group: GroupFacts, exact: int | None) -> Settled:
    """
    Return the ordinal of the group's position, and what was lost to it since *place*.

    *exact* is the proven or counted backlog. Redis forgets a loss with the next read and shows none to a
    group that never read, so the entries ever removed are held against those the group had passed.
    """
    added, removed = stream.added, removed_of(stream)
    if added is None or removed is None:
        return Settled(None, 0, place is not None and _nothing_removed(place, stream, group.delivered))
    position, deleted = group.delivered, stream.deleted or ORIGIN
    if exact is not None and deleted <= position <= stream.generated:  # beyond, entries may still come behind
        ordinal: int | None = added - exact
    else:
        ordinal = ordinal_by_counters(place, stream, group)
    if place is None:
        return Settled(ordinal, _lost_before(stream, group, removed), sure=False)
    if place is NOWHERE or position < place.delivered or meddled(place, stream):
        return Settled(ordinal, 0, sure=False)  # what is gone was gone before, and nobody promised it
    if removed == removed_of(place) or (stream.first is not None and stream.first <= place.delivered):
        return Settled(ordinal, 0, sure=True)
    if deleted > place.delivered or place.ordinal is None:
        return Settled(ordinal, 0, sure=False)  # trimmed or deleted, delivered or not: nobody can tell
    gone = removed - place.ordinal
    if gone <= 0 or position == place.delivered:
        return Settled(ordinal, max(0, gone), sure=True)
    return Settled(ordinal, _lost_on_the_way(place, stream, group, ordinal, gone), sure=False)


def _nothing_removed(place: Place, stream: StreamFacts, position: EntryId) -> bool:
    """Say, without counters, whether nothing can have been removed ahead of *place*, or of *position* now."""
    if position < place.delivered or meddled(place, stream):
        return False
    still = (stream.length, stream.generated) == (place.length, place.generated)
    return still or (stream.first is not None and stream.first <= place.delivered)


def _lost_before(stream: StreamFacts, group: GroupFacts, removed: int) -> int:
    """
    Return what Redis itself shows to be lost at a first look.

    Only of a group that was read from: one that never was may have been made after the trimming.
    """
    passed = stream.generated if stream.first is None else stream.first
    worked = group.read and (group.consumers or group.pending)
    if not worked or group.delivered >= passed or (stream.deleted or ORIGIN) > group.delivered:
        return 0
    return max(0, removed - (group.read or 0))


def _lost_on_the_way(
    place: Place, stream: StreamFacts, group: GroupFacts, ordinal: int | None, gone: int
) -> int:
    """
    Return how many of the *gone* entries were provably not delivered although the group moved on.

    Servers that repair ``entries-read`` by themselves hide a loss in it, so this is a lower bound.
    """
    if group.read is None or place.read is None or group.read <= place.read:
        return 0
    if place.ordinal is None or place.read > place.ordinal:
        return 0  # more than there was: a lie of XGROUP's
    given = group.read - place.read
    if ordinal is not None and stream.first is not None and group.delivered >= stream.first:
        lost = ordinal - place.ordinal - given
    else:  # not passed, or not counted yet: no more of them were delivered than were delivered at all
        lost = gone - given
    return lost if 0 < lost <= gone else 0
