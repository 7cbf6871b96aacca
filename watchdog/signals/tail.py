"""Reading a stream's entries once each: backwards to fill a window at start, forwards from then on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from watchdog.entries import ORIGIN, Entry, EntryId, parse_entries
from watchdog.signals.base import Command, Reply
from watchdog.signals.replies import edge, integer, require, stream_info
from watchdog.units import EPOCH

PAGE = 500
PAGES_A_LOOK = 20
"""At most so many pages are read forwards in one look; the rest waits for the next."""


@dataclass(frozen=True, slots=True)
class Slice:
    """
    What one look at a stream brought.

    *entries* are new, the oldest first. *oldest* is the ID of the oldest entry the stream keeps,
    *newest* that of the newest it ever took in; *behind* says that more entries wait to be read.
    """

    entries: tuple[Entry, ...]
    length: int
    added: int | None
    oldest: EntryId | None
    newest: EntryId
    behind: bool = False


def nothing_more(_: Entry) -> bool:
    """Say that filling a window needs no particular entry."""
    return True


class StreamTail:
    """
    A place in a stream, moving with what is read.

    *since* is the moment from which on every entry was seen, None before the first look: the
    epoch where the stream still holds all it ever held.
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
        self.gap = False  # between `resume` and what was read at first, entries may have gone unseen
        self._added: int | None = None

    def read(self, now: datetime) -> Generator[Sequence[Command], Sequence[Reply], Slice]:
        """Read what is new; at the first time, what the window needs."""
        if self.cursor is None:
            return (yield from self._fill(now))
        replies = yield [("XINFO", "STREAM", self.stream), self._forward(self.cursor)]
        info = stream_info(replies[0], self.stream)
        newest = EntryId.parse(info["last-generated-id"])
        added = integer(info.get("entries-added"))
        if newest < self.cursor:  # made anew or restored: what it holds now was counted, or was never seen
            self.cursor, self.since, self._added = newest, now, added
            return Slice((), int(info["length"]), added, edge(info, "first-entry"), newest)
        page = parse_entries(require(replies[1], f'stream "{self.stream}"'))
        entries = list(page)
        pages = 1
        while len(page) == PAGE and pages < PAGES_A_LOOK:
            replies = yield [self._forward(entries[-1].id)]
            page = parse_entries(require(replies[0], f'stream "{self.stream}"'))
            entries += page
            pages += 1
        if entries:
            self.cursor = entries[-1].id
        behind = len(page) == PAGE
        if added is not None and self._added is not None:
            self._added += len(entries)
            told = added + _later(entries, newest)
            if not behind and told != self._added:
                self.since = now  # some came and went between two looks, or the stream was made anew
                self._added = told
        return Slice(tuple(entries), int(info["length"]), added, edge(info, "first-entry"), newest, behind)

    def _forward(self, after: EntryId) -> Command:
        return ("XRANGE", self.stream, f"({after}", "+", "COUNT", PAGE)

    def _fill(self, now: datetime) -> Generator[Sequence[Command], Sequence[Reply], Slice]:
        start = now - self.keep
        replies = yield [("XINFO", "STREAM", self.stream), self._backward("+")]
        info = stream_info(replies[0], self.stream)
        entries: list[Entry] = []  # newest first
        satisfied = False
        while True:
            page = parse_entries(require(replies[0 if entries else 1], f'stream "{self.stream}"'))
            entries += page
            satisfied = satisfied or any(self.wanted(entry) for entry in page)
            beginning = len(page) < PAGE
            if beginning or len(entries) >= self.limit:
                break
            last = entries[-1].id
            if last.at < start and (satisfied or (self.resume is not None and last <= self.resume)):
                break
            replies = yield [self._backward(f"({last}")]
        added = integer(info.get("entries-added"))
        newest = EntryId.parse(info["last-generated-id"])
        self._added = None if added is None else added + _later(entries, newest)
        whole = beginning and (newest == ORIGIN or (self._added is not None and self._added <= len(entries)))
        reached = entries[-1].id if entries else newest  # emptied: nothing came after the newest
        deleted = EntryId.parse(info.get("max-deleted-entry-id", str(ORIGIN)))  # by XDEL, out of the midst
        seen_from = max(reached, deleted).at
        self.gap = self.resume is not None and self.resume < min(newest, max(reached, deleted))
        self.since = EPOCH if whole else min(now, seen_from if beginning else max(start, seen_from))
        self.cursor = max(newest, entries[0].id if entries else ORIGIN)
        entries.reverse()
        return Slice(tuple(entries), int(info["length"]), added, edge(info, "first-entry"), newest)

    def _backward(self, end: str) -> Command:
        return ("XREVRANGE", self.stream, end, "-", "COUNT", PAGE)


def _later(entries: Sequence[Entry], newest: EntryId) -> int:
    """Return how many of *entries* came between XINFO, which said *newest*, and their own reading."""
    return sum(entry.id > newest for entry in entries)
