"""Cutting log lines where one slot of time ends and the next begins."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from watchdog.logs.formats import body

SLOT = timedelta(seconds=10)
_LOOK_BACK = 200  # lines, as long as a traceback may be
_LOOK_BACK_AGAIN = 5  # where all those of the block before said no time
_LONGEST_HEAD = 200
_OFFSET = re.compile(rb"[0-9](?:[.,][0-9]+)? ?[+-][0-9]{2}")
_HEADS = 2  # the slots that begin and end a block

_Said = TypeVar("_Said")


def slot_of(at: datetime) -> datetime:
    """Return the beginning of the slot that *at* is in; a minute has a whole number of them."""
    return at.replace(second=at.second - at.second % SLOT.seconds, microsecond=0)


def last_said(
    lines: bytes, say: Callable[[bytes], _Said | None], look_back: int = _LOOK_BACK
) -> _Said | None:
    """Return what the last of *lines* says that says anything, of as many as are looked at."""
    end = len(lines) - 1
    for _ in range(look_back):
        start = lines.rfind(b"\n", 0, end) + 1
        if said := say(lines[start:end]):
            return said
        end = start - 1
        if end < 0:
            break
    return None


class Slots:
    """
    Tells the slots of lines, given what tells the time of one.

    Lines that are the same up to the tens of the seconds were written in the same slot, so that
    few of them have to be parsed.
    """

    def __init__(self, time_of: Callable[[bytes], datetime | None]) -> None:
        self._time_of = time_of
        self._heads: list[tuple[bytes, datetime]] = []
        self._look_back = _LOOK_BACK

    def of(self, line: bytes) -> datetime | None:
        """Return the slot that *line* was written in, or None if it does not say."""
        for head, slot in self._heads:
            if line.startswith(head):
                return slot
        at = self._time_of(line)
        if at is None:
            return None
        if head := self._head(line, at):
            self._heads = [(head, slot_of(at)), *self._heads[: _HEADS - 1]]
        return slot_of(at)

    def cut(self, block: bytes, before: datetime | None) -> Iterator[tuple[datetime | None, bytes]]:
        """
        Cut *block* into pieces that were each written within one slot.

        Log files are in order of time. What does not say when it was written is of the slot
        *before*, and of none if that is not known.
        """
        first = self.of(block[: block.find(b"\n")]) or before
        said = last_said(block, self.of, self._look_back)
        self._look_back = _LOOK_BACK if said or first else _LOOK_BACK_AGAIN
        last = said or first
        while first != last and first is not None:
            end = self._end(block, first)
            yield first, block[:end]
            block = block[end:]
            if not block:
                return
            first = self.of(block[: block.find(b"\n")]) or last
        yield last, block

    def _end(self, block: bytes, slot: datetime) -> int:
        """Find by halving where in *block* the *slot* ends that it begins in."""
        low, high = 0, len(block)
        while True:
            middle = (low + high) // 2
            start = block.find(b"\n", middle, high - 1) + 1 or block.rfind(b"\n", low, middle) + 1
            if start <= low:
                return high
            line = block[start : block.find(b"\n", start)]
            found = self.of(line) or last_said(block[low:start], self.of) or slot
            low, high = (start, high) if found == slot else (low, start)

    def _head(self, line: bytes, at: datetime) -> bytes:
        """Return *line*, written *at* that time, up to the tens of its seconds, if they stand there."""
        clock = line.rfind(b":%02d:%02d" % (at.minute, at.second), 0, _LONGEST_HEAD)
        prefix = len(line) - len(body(line))  # of syslog: a time behind it would be nearer to the truth
        if clock < prefix or clock < 0 or _OFFSET.match(line, clock + 5):  # summer time may end in between
            return b""
        head, tens = line[: clock + 4], at.second // 10
        other = tens - 1 if tens else 1
        moved = self._time_of(head + b"%d" % other + line[clock + 5 :])
        is_read = moved is not None and moved - at == (other - tens) * SLOT
        return line[: clock + 5] if is_read else b""
