"""
What is true of a stream and its groups, by brute force: every entry, and what became of it.

The model is told each command and what it did; it never computes what it can enumerate. What the
`consumes` signal says is held to it by these definitions:

* **lag** is the number of entries in the stream whose ID lies above the group's position
  (last-delivered-id). A plain number is exactly that, a lower bound is at most that.
* **lost** counts entries that *trimming* (XTRIM, or MAXLEN and MINID of XADD) removed while their ID
  lay above the group's position. Not lost is what somebody deleted by hand (XDEL: it was meant to
  go), skipped (SETID, XCLAIM LASTID), dropped with the stream or the group, or removed before the
  group was made or set back: nobody promised it. A group set away and back, or made anew where it
  was, between two looks counts as one that stayed, and entries that XSETID says were added as added:
  no look can tell.
* The losses claimed since the first look never exceed the true ones. They are *exact* over every
  interval between two looks that is **clear**: the server tells what it ever took in (7.0+), group
  and stream were there all the while, no position and no counter was set by hand, no tombstone
  (max-deleted-entry-id) lies ahead of the group, and trimming did not pass the position at which the
  group stood at the interval's beginning, unless the group stood still there. Over any other
  interval trimmed-and-deleted or trimmed-and-delivered look alike, and a lower bound is all there is.

One lie cannot be told from the truth: a counter set to a wrong number (ENTRIESREAD, XSETID, XCLAIM
LASTID: none is anything a client does) *between the same two looks* in which the group also reads on
or entries are added. What is reported from counters may be wrong then, until the entries are counted or
the group is seen at an end of the stream. Such looks are counted by themselves; a lie that was
there at the look before excuses nothing. Of XSETID such a lie may also hide a loss: four entries added,
all of them trimmed, ENTRIESADDED 1 leaves nothing that shows more than one. That is the one kind of loss
that is told too low without a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from watchdog.entries import ORIGIN, EntryId


@dataclass
class Since:
    """What happened to a group since it was last looked at."""

    position: EntryId | None
    there: bool
    generated: EntryId = ORIGIN
    pretended: int = 0  # entries that XSETID says were added
    lost: set[EntryId] = field(default_factory=set)
    trimmed: set[EntryId] = field(default_factory=set)
    given: int = 0
    meddled: bool = False  # made, destroyed, or set by hand
    passed: bool = False  # trimming went past the position of the last look
    forced: bool = False  # a claim put an entry among the pending ones that was not


@dataclass
class GroupTruth:
    """One group: its position, what it was given and has not acknowledged, what was lost to it."""

    position: EntryId
    lied: bool = False  # its counter was set to a number that is not true of its position
    pending: dict[EntryId, str] = field(default_factory=dict)


class Truth:
    """One stream, all of its groups, and what happened since each group was looked at last."""

    def __init__(self, watched: Iterable[str], drops_claimed: bool) -> None:
        """Know nothing but the names of the *watched* groups; from 7.0 on a claim drops what has no body."""
        self.exists = False
        self.live: dict[EntryId, datetime] = {}  # in the order of their IDs, with the moment they came
        self.came: dict[EntryId, datetime] = {}  # all that ever came
        self.generated = ORIGIN
        self.tombstone = ORIGIN
        self.added_ever = 0  # as the server counts
        self.groups: dict[str, GroupTruth] = {}
        self.since = {name: Since(None, False) for name in watched}
        self._drops_claimed = drops_claimed

    # ---- what commands do ----------------------------------------------------------------------

    def added(self, entry: EntryId, at: datetime) -> None:
        """Take in an entry that XADD gave the ID *entry*."""
        self.exists = True
        self.live[entry] = self.came[entry] = at
        self.generated = entry
        self.added_ever += 1

    def trimmed(self, count: int) -> None:
        """Remove the *count* oldest entries: they are lost to every group that stands before them."""
        removed = list(self.live)[:count]
        for entry in removed:
            del self.live[entry]
        for name, since in self.since.items():
            since.trimmed.update(removed)
            group = self.groups.get(name)
            if group is not None:
                since.lost.update(entry for entry in removed if entry > group.position)
            if since.position is not None and any(entry > since.position for entry in removed):
                since.passed = True

    def deleted(self, entries: Iterable[EntryId]) -> None:
        """Remove *entries* by hand."""
        for entry in entries:
            if self.live.pop(entry, None) is not None:
                self.tombstone = max(self.tombstone, entry)

    def delivered(self, name: str, entries: Iterable[EntryId], consumer: str, ack: bool) -> None:
        """Give *entries* to *consumer*; with NOACK they are not pending."""
        group = self.groups[name]
        for entry in entries:
            group.position = max(group.position, entry)
            self.since[name].given += 1
            if not ack:
                group.pending[entry] = consumer

    def acknowledged(self, name: str, entries: Iterable[EntryId]) -> None:
        """Take *entries* off the pending ones."""
        for entry in entries:
            self.groups[name].pending.pop(entry, None)

    def claimed(self, name: str, entries: Iterable[EntryId], consumer: str, force: bool = False) -> None:
        """Give pending *entries* to another *consumer*; what has no body any more is dropped by 7.0+."""
        pending = self.groups[name].pending
        for entry in entries:
            if entry not in pending and not (force and entry in self.live):
                continue
            if entry not in self.live and self._drops_claimed:
                pending.pop(entry, None)
            else:
                self._mark(name, forced=entry not in pending)
                pending[entry] = consumer

    def consumer_gone(self, name: str, consumer: str) -> None:
        """Forget what *consumer* held."""
        group = self.groups[name]
        group.pending = {entry: owner for entry, owner in group.pending.items() if owner != consumer}

    def positioned(self, name: str, position: EntryId, read: int | None = None) -> None:
        """Put the group somewhere by hand, where it is said to have *read* so many entries."""
        group = self.groups[name]
        group.position = position
        group.lied |= read is not None and read != self._ordinal(position)
        self._mark(name, meddled=True)

    def skipped(self, name: str, position: EntryId) -> None:
        """Put the group somewhere, and leave its counter as it was: XCLAIM LASTID."""
        self.positioned(name, position)
        self.groups[name].lied = True

    def created(self, name: str, position: EntryId, read: int | None = None) -> None:
        """Make a group, and with it the stream if there is none."""
        self.exists = True
        self.groups[name] = GroupTruth(position)
        self.positioned(name, position, read)

    def _ordinal(self, position: EntryId) -> int:
        """Return how many entries were ever added up to *position*, as the server counts them."""
        return self.added_ever - sum(entry > position for entry in self.came)

    def destroyed(self, name: str) -> None:
        """Take a group away."""
        self.groups.pop(name, None)
        self._mark(name, meddled=True)

    def counters_set(self, generated: EntryId, added: int | None, tombstone: EntryId | None) -> None:
        """Note an XSETID; *added* and *tombstone* are None where they stay."""
        self.generated = generated
        if added is not None:
            for since in self.since.values():
                since.pretended += added - self.added_ever
            for group in self.groups.values():
                group.lied |= added != self.added_ever
            self.added_ever = added
        if tombstone is not None:
            for group in self.groups.values():
                group.lied |= tombstone < self.tombstone
            self.tombstone = tombstone
        for name in self.since:
            self._mark(name, meddled=True)

    def dropped(self) -> None:
        """Take the whole stream away, groups and all."""
        self.exists = False
        self.live.clear()
        self.came.clear()
        self.generated = self.tombstone = ORIGIN
        self.added_ever = 0
        for name in list(self.groups):
            self.destroyed(name)

    # ---- what is true --------------------------------------------------------------------------

    def ahead(self, name: str) -> list[EntryId]:
        """Return the entries the group has still to be given, the oldest first."""
        position = self.groups[name].position
        return [entry for entry in self.live if entry > position]

    def lost_since(self, name: str, lowest: EntryId | None = None) -> tuple[int, int]:
        """
        Return how many entries were lost to the group since its last look, and how many may seem so.

        *lowest* is where it stood at the lowest in the course of a torn look, a first one as well: that may
        be all that was seen, and then every entry above it that was trimmed seems lost.
        """
        since, group = self.since[name], self.groups.get(name)
        seeming = set(since.lost)
        floor = lowest
        if floor is None and since.there and since.position is not None and group is not None:
            floor = max(since.position, group.position)
        if floor is not None:
            seeming |= {entry for entry in since.trimmed if entry > floor}
        pretended = max(0, since.pretended) if self.generated != since.generated else 0
        return len(since.lost), len(seeming) + pretended

    def lie_over(self, name: str) -> None:
        """Note that the group was seen where its number is known whatever its counter says."""
        self.groups[name].lied = False

    def clear(self, name: str) -> bool:
        """Say whether the interval since the last look is clear: see the module's docstring."""
        since, group = self.since[name], self.groups.get(name)
        return (
            since.there
            and group is not None
            and not since.meddled
            and self.tombstone <= group.position
            and (not since.passed or since.position == group.position)
        )

    def looked_at(self, name: str) -> None:
        """Begin a new interval."""
        group = self.groups.get(name)
        position = None if group is None else group.position
        self.since[name] = Since(position, group is not None, self.generated)

    def _mark(self, name: str, *, meddled: bool = False, forced: bool = False) -> None:
        self.since[name].meddled |= meddled
        self.since[name].forced |= forced
