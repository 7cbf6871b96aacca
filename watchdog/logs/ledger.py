"""What was counted of one log file, by the time at which it was written."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from operator import itemgetter

from watchdog.logs.formats import detect
from watchdog.logs.lines import BLOCK, cut
from watchdog.logs.patterns import Patterns, count_in
from watchdog.logs.redact import redact
from watchdog.logs.slots import SLOT, Slots, last_said, slot_of
from watchdog.logs.tally import Counting, Tallier, Tally
from watchdog.logs.times import timestamp

__all__ = ["SLOT", "Bucket", "Clock", "Ledger", "evidence", "last_time"]

LONGEST_EVIDENCE = 500
_FEW_LINES = 8
_SAMPLE_LINES = 100
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was written in the `SLOT` that begins *at*; *matches* counts lines by pattern."""

    at: datetime
    tally: Tally
    matches: dict[str, int]

    def __add__(self, other: "Bucket") -> "Bucket":
        """Return both together, *other* being the later of the same slot."""
        matches = {name: count + other.matches[name] for name, count in self.matches.items()}
        return Bucket(self.at, self.tally + other.tally, matches)

    @property
    def lines(self) -> int:
        """Return the number of lines, those of tracebacks among them."""
        return self.tally.lines

    @property
    def records(self) -> int:
        """Return the number of records; a record and its traceback are one."""
        return self.tally.records

    @property
    def errors(self) -> int:
        """Return the number of records at level error or above."""
        return self.tally.errors


@dataclass(frozen=True, slots=True)
class Clock:
    """
    What is known of when lines were written: in zone *tz*, after *earliest* and by *now*.

    What a line says is held within that: a program's wrong clock must not move errors out of sight.
    """

    now: datetime
    tz: tzinfo = UTC
    earliest: datetime | None = None

    def time_of(self, line: bytes) -> datetime | None:
        """Return when *line* was written, or None if it does not say."""
        said = timestamp(line, self.now, self.tz)
        if said is None:
            return None
        return min(max(said, self.earliest) if self.earliest else said, self.now)


@dataclass(frozen=True, slots=True)
class _Open:
    """What is being counted of the slot that begins *at*."""

    at: datetime
    count: Counting
    matches: Counter[str]


@dataclass(slots=True)
class Ledger:
    """Counts one file, chunk after chunk, and puts each line into the slot of its time."""

    tallier: Tallier
    patterns: Patterns
    detecting: bool = True  # else the user has named the format
    first_line_at: datetime | None = None
    last_line_at: datetime | None = None
    _last_error: bytes | None = None
    _buckets: dict[datetime, Bucket] = field(default_factory=dict)
    _open: _Open | None = None
    _clock: Clock | None = None
    _slots: Slots = field(default_factory=lambda: Slots(_no_time))

    def add(self, chunk: bytes, clock: Clock) -> None:
        """Count the complete lines of *chunk*; one without a time has that of the line before."""
        if self.detecting:
            self.tallier.use(_format_of(chunk, self.tallier.format))
        if self._clock is not clock:
            self._clock, self._slots = clock, Slots(clock.time_of)
        for slot, pieces in groupby(_by_slot(chunk, self._slots), key=itemgetter(0)):
            self._enter(slot, [piece for _, piece in pieces], clock)

    def buckets(self) -> tuple[Bucket, ...]:
        """Return what has been counted, oldest first."""
        self._close()
        return tuple(self._buckets[at] for at in sorted(self._buckets))

    @property
    def last_error(self) -> bytes | None:
        """Return the last error line, with the exception that its traceback ended in."""
        self._close()
        return self._last_error

    def _enter(self, said: datetime | None, pieces: list[bytes], clock: Clock) -> None:
        """Count *pieces*, written in the slot that they *said*, else now."""
        slot = said or slot_of(clock.now)
        if self._open is None or self._open.at != slot:
            self._close()
            self._open = _Open(slot, self.tallier.start(), Counter(dict.fromkeys(self.patterns, 0)))
        matches = self._open.matches
        show = (lambda lines: matches.update(count_in(lines, self.patterns))) if self.patterns else None
        for piece in pieces:
            self.tallier.add(piece, self._open.count, show)
        at = (last_time(pieces[-1], clock) or said) if said else clock.now
        self.first_line_at = self.first_line_at or at
        self.last_line_at = max(at, self.last_line_at or at)

    def _close(self) -> None:
        """Put what was counted last into the bucket of its slot."""
        if self._open is None:
            return
        at, tally = self._open.at, self._open.count.tally()
        bucket = Bucket(at, tally, dict(self._open.matches))
        self._buckets[at] = self._buckets[at] + bucket if at in self._buckets else bucket
        self._last_error = tally.last_error or self._last_error
        self._open = None


def _format_of(chunk: bytes, current: str) -> str:
    """Return *current* if it is that of the first few lines, else that of many."""
    for most in _FEW_LINES, _SAMPLE_LINES:
        found = detect((line for line in _first_lines(chunk, most) if line), current)
        if found == current:
            break
    return found


def _first_lines(chunk: bytes, most: int) -> Iterator[bytes]:
    """Yield the first lines of *chunk*, no more than *most* of them."""
    start = 0
    for _ in range(most):
        end = chunk.find(b"\n", start, 2 * BLOCK)
        yield chunk[start : end if end >= 0 else 2 * BLOCK]
        if end < 0:
            return
        start = end + 1


def _no_time(line: bytes) -> datetime | None:  # noqa: ARG001
    return None


def _by_slot(chunk: bytes, slots: Slots) -> Iterator[tuple[datetime | None, bytes]]:
    """Cut *chunk* into pieces that were each written within one slot."""
    last: datetime | None = None
    for block in cut(chunk, BLOCK):
        for piece in slots.cut(block, last):
            yield piece
            last = piece[0]


def last_time(lines: bytes, clock: Clock) -> datetime | None:
    """Return the time of the last of *lines* that says one; a traceback's length is looked back."""
    return last_said(lines, clock.time_of)


def evidence(line: bytes) -> str:
    """Show a log line to people: bounded, on one line, without secrets or what moves a terminal."""
    text = _ESCAPES.sub("", line[: 4 * LONGEST_EVIDENCE].decode("utf-8", "replace"))
    text = redact(_CONTROLS.sub(" ", text).strip())
    return text if len(text) <= LONGEST_EVIDENCE else text[: LONGEST_EVIDENCE - 1] + "…"
