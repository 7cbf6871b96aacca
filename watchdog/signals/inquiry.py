"""What is asked of a consumer group beyond its facts: the head of its line, what is pending, who works."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

from watchdog.allowance import EVERYBODY, Allowance
from watchdog.backlog import (
    Backlog,
    Place,
    Provenance,
    Walk,
    begin,
    by_counters,
    by_ids,
    extended,
    removed_of,
    taken_up,
    untouched_ahead,
)
from watchdog.entries import EntryId
from watchdog.facts import ConsumerFacts, GroupFacts, StreamFacts
from watchdog.groups import GHOST_AFTER, Delivery, Found, GroupLook, Holders, holders_of
from watchdog.signals.asking import consumer_facts, group_facts, stream_facts
from watchdog.signals.base import Command, Refused, Reply
from watchdog.signals.replies import entry_id, text

PENDING_SHOWN = 10
"""So many of the oldest pending entries are asked for one by one."""
CONFIRMED = 16
"""A smaller backlog is counted while its head is asked for: what counters prove is held against it."""
PAGE = 250
LONGEST_WALK = 1000
"""About so many entries are counted in one look; the rest waits for the next."""


class Facts(NamedTuple):
    """What the standing questions told of one group."""

    stream: StreamFacts
    group: GroupFacts
    consumers: tuple[ConsumerFacts, ...] | None = None


Said = Mapping[str, Reply]


class Inquiry:
    """The further questions about one group; they are yielded, and their replies sent in."""

    __slots__ = ("allowance", "ghost_after", "group", "stream")

    def __init__(
        self, stream: str, group: str, allowance: Allowance = EVERYBODY, ghost_after: float = GHOST_AFTER
    ) -> None:
        self.stream = stream
        self.group = group
        self.allowance = allowance
        self.ghost_after = ghost_after

    def ask(
        self, before: GroupLook | None, place: Place | None, facts: Facts, at: float, *, slow: bool
    ) -> Generator[Sequence[Command], Sequence[Reply], Found | None]:
        """
        Ask what *facts* leave open; *slow* asks also who works and who holds what.

        Return None if the group went away meanwhile.
        """
        changed = before is None or slow or facts.group != before.group
        backlog, certain = _proven(before, place, facts)
        size = 0 if backlog is None or (certain and _headed(backlog)) else _size(backlog, certain)
        wants: dict[str, Command] = {}
        if size:
            wants["page"] = self._after(facts.group.delivered, size)
        if facts.group.pending and slow:
            wants["detail"] = ("XPENDING", self.stream, self.group, "-", "+", PENDING_SHOWN)
        if facts.group.pending and changed:
            wants["pending"] = self._pending()
        if slow and facts.consumers is None:
            wants["consumers"] = ("XINFO", "CONSUMERS", self.stream, self.group)
        said = dict(zip(wants, (yield list(wants.values())), strict=True)) if wants else {}
        walk = None if before is None else before.walk
        if backlog is not None and size:
            backlog, walk = _confirmed(backlog, said["page"], size), None  # where that failed, nothing holds
        if backlog is None:
            counted = yield from self._count(walk, facts, at)
            if counted is None:
                return None
            facts, backlog, replies = counted
            said |= replies
        holders = None
        if slow:
            holders = yield from self._holders(facts, said, at)
        return _found(before, facts, backlog, said, holders)

    def _count(
        self, walk: Walk | None, facts: Facts, at: float
    ) -> Generator[Sequence[Command], Sequence[Reply], tuple[Facts, Backlog, Said] | None]:
        """
        Count what nothing proves, each page together with the facts of its own moment.

        *walk*, what was counted in the look before, is taken up again where nothing of it was removed. A
        short one is not: to count anew costs no more.
        """
        walk = taken_up(walk, facts.stream, facts.group)
        if walk.counted <= CONFIRMED:
            walk = begin(facts.stream, facts.group)
        left, size, taken = LONGEST_WALK, CONFIRMED, 0
        if walk.counted and self.allowance.take(PAGE, at):
            size = taken = PAGE
        while True:
            replies = yield [
                ("XINFO", "STREAM", self.stream),
                ("XINFO", "GROUPS", self.stream),
                self._pending(),
                self._after(facts.group.delivered, 1),
                self._after(walk.to, size),
            ]
            now, page = self._now(replies, facts), _ids(replies[4])
            self.allowance.give_back(max(0, taken - len(page)))
            if now is None:
                return None
            facts, pending, first = now, replies[2], _ids(replies[3])
            if isinstance(replies[4], Refused):
                return facts, Backlog(None, Provenance.UNKNOWN), {"pending": pending, "page": replies[4]}
            counted = extended(walk, page, size, facts.stream, facts.group)
            left -= size
            if counted.number is not None and counted.walk is not None and facts.stream.added is not None:
                walk, size = counted.walk, min(PAGE, left)
            else:  # what was counted cannot be shown to be still there: all at once
                walk, size = begin(facts.stream, facts.group), left
            if counted.exact is None and left > 0 and self.allowance.take(size, at):
                taken = size
                continue
            ahead = [entry for entry in first if entry > facts.group.delivered]
            if counted.number is None:  # begun anew, and nothing left to go on with
                counted = Backlog(len(ahead), Provenance.AT_LEAST)
            told = by_ids(facts.stream, facts.group.delivered) or counted
            head = counted.head or told.head or next(iter(ahead), None)
            return facts, told._replace(head=head if told.number != 0 else None), {"pending": pending}

    def _now(self, replies: Sequence[Reply], facts: Facts) -> Facts | None:
        """Return the facts as they are in *replies*, None if the group is no more."""
        info, groups = stream_facts(replies[0]), group_facts(replies[1])
        if isinstance(info, Refused) or isinstance(groups, Refused) or self.group not in groups:
            return None
        return Facts(info, groups[self.group], facts.consumers)

    def _holders(
        self, facts: Facts, said: Mapping[str, Reply], at: float
    ) -> Generator[Sequence[Command], Sequence[Reply], Holders]:
        """Ask whether the oldest pending entries still have bodies, and put together who holds what."""
        consumers = facts.consumers if "consumers" not in said else consumer_facts(said["consumers"])
        detail = said.get("detail", ())
        rows = None if isinstance(detail, Refused) else tuple(map(_delivery, detail))
        bodies: tuple[int | None, bool] = None, False
        if rows is not None:
            doubtful = [row.entry for row in rows if _may_be_gone(row.entry, facts.stream)]
            found: Sequence[Reply] = ()
            if doubtful:
                found = yield [("XRANGE", self.stream, str(e), str(e), "COUNT", 1) for e in doubtful]
            if not any(isinstance(reply, Refused) for reply in found):
                bodies = _bodies(rows, facts, [reply for reply in found if not reply])
        known = None if isinstance(consumers, Refused) else consumers
        return holders_of(known, rows, bodies, at, self.ghost_after)

    def _pending(self) -> Command:
        return ("XPENDING", self.stream, self.group)

    def _after(self, position: EntryId, count: int) -> Command:
        return ("XRANGE", self.stream, f"({position}", "+", "COUNT", count)


def nothing_open(facts: Facts) -> bool:
    """Say whether the group was given everything, acknowledged everything, and nothing is left to ask."""
    last = facts.stream.last
    return not facts.group.pending and (last is None or facts.group.delivered >= last)


# ---- the backlog -------------------------------------------------------------------------------


def _proven(before: GroupLook | None, place: Place | None, facts: Facts) -> tuple[Backlog | None, bool]:
    """
    Return the backlog as far as no entry has to be asked for, and whether it is past all doubt.

    Counters prove it past doubt while the group stands and nothing was removed: then the only change
    is what the stream has more.
    """
    stream, group = facts.stream, facts.group
    stands = before is not None and before.group.delivered == group.delivered
    if before is not None and stands and before.stream == stream and _counted_out(before):
        return Backlog(before.waiting, before.provenance, before.head, before.walk), True
    if (told := by_ids(stream, group.delivered)) is not None:
        certain = True
    elif (told := by_counters(place, stream, group)) is not None and place is not None:
        certain = stands and removed_of(stream) == removed_of(place) and stream.deleted == place.deleted
    else:
        return None, False
    if before is not None and stands and told.number and told.head is None:
        kept = before.stream == stream or untouched_ahead(stream, group.delivered)
        told = told._replace(head=before.head if kept else None)
    return told, certain


def _counted_out(look: GroupLook) -> bool:
    """Say whether to count again would bring no more; before 7.0 each count begins anew."""
    allowed = look.waiting is not None and look.waiting > CONFIRMED
    uncountable = look.provenance is Provenance.AT_LEAST and look.stream.added is None and allowed
    return look.provenance is Provenance.COUNTED or uncountable


def _headed(backlog: Backlog) -> bool:
    """Say whether it is known which entry is next, if any is."""
    return backlog.number == 0 or backlog.head is not None


def _size(backlog: Backlog, certain: bool) -> int:
    """Return how many entries to ask for: the head, and if there is doubt as many as would show it."""
    return 1 if certain else min((backlog.number or 0) + 1, CONFIRMED)


def _confirmed(backlog: Backlog, page: Reply, size: int) -> Backlog | None:
    """Return *backlog* with its head, or None if the entries that were found contradict it."""
    if isinstance(page, Refused):
        return backlog
    number = backlog.number or 0
    agrees = number >= size if len(page) == size else len(page) == number
    return backlog._replace(head=_ids(page)[0]) if agrees else None


def _ids(page: Reply) -> list[EntryId]:
    return [] if isinstance(page, Refused) else [EntryId.parse(row[0]) for row in page]


# ---- what is pending ---------------------------------------------------------------------------


def _found(
    before: GroupLook | None,
    facts: Facts,
    backlog: Backlog,
    said: Mapping[str, Reply],
    holders: Holders | None,
) -> Found:
    """Put everything that was said together."""
    summary = said.get("pending")
    oldest, told = None, not isinstance(summary, Refused)
    if summary is None and before is not None:
        oldest, told = before.oldest, before.pending_told
    elif told and summary is not None:
        oldest = entry_id(summary[1])
    refusals = {str(reply) for reply in said.values() if isinstance(reply, Refused)}
    if before is not None and holders is None:
        refusals.update(before.refused)  # what may not be asked is not asked every time
    refused = tuple(sorted(refusals))
    return Found(
        facts.stream, facts.group, backlog, oldest, told, holders, facts.consumers, refused
    )  # fmt: skip


def _delivery(row: Any) -> Delivery:
    return Delivery(EntryId.parse(row[0]), text(row[1]), int(row[3]))


def _trimmed(entry: EntryId, stream: StreamFacts) -> bool:
    return stream.first is None or entry < stream.first


def _may_be_gone(entry: EntryId, stream: StreamFacts) -> bool:
    """Say whether *entry*, which no trimming took, may have been deleted; before 7.0 nobody tells."""
    return not _trimmed(entry, stream) and (stream.deleted is None or stream.deleted >= entry)


def _bodies(rows: Sequence[Delivery], facts: Facts, deleted: Sequence[Reply]) -> tuple[int, bool]:
    """Return how many of the pending *rows* have no body, and whether that is all there are."""
    gone = sum(_trimmed(row.entry, facts.stream) for row in rows) + len(deleted)
    if len(rows) < PENDING_SHOWN or len(rows) >= facts.group.pending:
        return gone, True
    whole = facts.stream.deleted is not None and facts.stream.deleted < max(row.entry for row in rows)
    return gone, whole and gone < len(rows)
