"""Reading a stream's entries once each: backwards to fill a window at start, forwards from then on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from watchdog.entries import ORIGIN, Entry, EntryId, parse_entries
from watchdog.facts import StreamFacts
from watchdog.signals.asking import about_stream
from watchdog.signals.base import Command, Reply
from watchdog.signals.replies import require
from watchdog.units import EPOCH

PAGE = 500
PAGES_A_LOOK = 20
"""At most so many pages are read forwards in one look; the rest waits for the next."""
WHOLE = 12_000
"""A stream of so many entries may be read as a whole at start: the usual caps are of 10,000, more or less."""


@dataclass(frozen=True, slots=True)
class Slice:
    """
    What one look at a stream brought.

    *entries* are new, the oldest first; *behind* says that more of them wait to be read.
    """

    entries: tuple[Entry, ...]
    facts: StreamFacts
    behind: bool = False


Reads = Generator[Sequence[Command], Sequence[Reply], Slice]


def nothing_more(_: Entry) -> bool:
    """Say that filling a window needs no particular entry."""
    return True


class StreamTail:
    """
    A place in a stream, moving with what is read.

    *since* is the moment from which on every entry was seen, None before the first look: the
    epoch where the stream still holds all it ever held. *reached* is the oldest entry that the
    first look read, None where that is the oldest the stream keeps.
    """

    def __init__(
        self,
        stream: str,
        keep: timedelta,
        limit: int,
        wanted: Callable[[Entry], bool] = nothing_more,
    ) -> None:
        """
        Follow *stream*, at first back over *keep* and on to an entry that is *wanted*.

        No more than *limit* entries are read backwards.
        """
        self.stream = stream
        self.keep = keep
        self.limit = limit
        self.wanted = wanted
        self.cursor: EntryId | None = None
        self.resume: EntryId | None = None  # where an earlier process had come to
        self.since: datetime | None = None
        self.reached: EntryId | None = None
        self.far = keep  # how far back the first look goes in a stream that is no longer than `WHOLE`
        self.gap = False  # between `resume` and what was read at first, entries may have gone unseen
        self._added: int | None = None

    def read(self, now: datetime) -> Reads:
        """Ask for the stream's facts and, in the same breath, for what is new."""
        question = about_stream(self.stream)
        replies = yield [question.command, self._next()]
        facts = question.read(require(replies[0], f'stream "{self.stream}"'))
        return (yield from self._take(now, facts, replies[1]))

    def read_on(self, now: datetime, facts: StreamFacts) -> Reads:
        """Ask for what is new in the stream of *facts*."""
        (reply,) = yield [self._next()]
        return (yield from self._take(now, facts, reply))

    def _next(self) -> Command:
        return self._backward("+") if self.cursor is None else self._forward(self.cursor)

    def _forward(self, after: EntryId) -> Command:
        return ("XRANGE", self.stream, f"({after}", "+", "COUNT", PAGE)

    def _backward(self, end: str) -> Command:
        return ("XREVRANGE", self.stream, end, "-", "COUNT", PAGE)

    def _page(self, reply: Reply) -> list[Entry]:
        return parse_entries(require(reply, f'stream "{self.stream}"'))

    def _take(self, now: datetime, facts: StreamFacts, first: Reply) -> Reads:
        """Go on from the *first* page: at the first time what the window needs, else what is new."""
        if self.cursor is None:
            return (yield from self._fill(now, facts, self._page(first)))
        return (yield from self._go_on(now, self.cursor, facts, self._page(first)))

    def _go_on(self, now: datetime, cursor: EntryId, facts: StreamFacts, page: list[Entry]) -> Reads:
        if facts.generated < cursor:  # made anew or restored: what it holds was counted, or was never seen
            self.cursor, self.since, self._added = facts.generated, now, facts.added
            return Slice((), facts)
        entries = list(page)
        pages = 1
        while len(page) == PAGE and pages < PAGES_A_LOOK:
            (reply,) = yield [self._forward(entries[-1].id)]
            page = self._page(reply)
            entries += page
            pages += 1
        if entries:
            self.cursor = entries[-1].id
        behind = len(page) == PAGE
        if facts.added is not None and self._added is not None:
            self._added += len(entries)
            told = facts.added + _later(entries, facts.generated)
            if not behind and told != self._added:
                self.since = now  # some came and went between two looks, or the stream was made anew
                self._added = told
        return Slice(tuple(entries), facts, behind)

    def _fill(self, now: datetime, facts: StreamFacts, page: list[Entry]) -> Reads:
        start = now - (self.far if facts.length <= WHOLE else self.keep)
        entries = list(page)  # newest first
        satisfied = any(map(self.wanted, page))
        while len(page) == PAGE and len(entries) < self.limit:
            last = entries[-1].id
            if last.at < start and (satisfied or (self.resume is not None and last <= self.resume)):
                break
            (reply,) = yield [self._backward(f"({last}")]
            page = self._page(reply)
            entries += page
            satisfied = satisfied or any(map(self.wanted, page))
        beginning = len(page) < PAGE
        newest, added = facts.generated, facts.added
        self._added = None if added is None else added + _later(entries, newest)
        whole = beginning and (newest == ORIGIN or (self._added is not None and self._added <= len(entries)))
        reached = entries[-1].id if entries else newest  # emptied: nothing came after the newest
        self.reached = None if beginning else reached
        seen = max(reached, facts.deleted or ORIGIN)  # what XDEL took out of the midst came before
        self.gap = self.resume is not None and self.resume < min(newest, seen)
        self.since = EPOCH if whole else min(now, seen.at if beginning else max(start, seen.at))
        self.cursor = max(newest, entries[0].id if entries else ORIGIN)
        entries.reverse()
        return Slice(tuple(entries), facts)


def _later(entries: Sequence[Entry], newest: EntryId) -> int:
    """Return how many of *entries* came between XINFO, which said *newest*, and their own reading."""
    return sum(entry.id > newest for entry in entries)
