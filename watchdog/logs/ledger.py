"""What was counted of one log file, by the time at which it was written."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import groupby

from watchdog.logs.formats import detect
from watchdog.logs.patterns import Patterns, count_matches
from watchdog.logs.redact import redact
from watchdog.logs.tally import BLOCK, SAMPLES, Tallier, Tally, cut
from watchdog.logs.times import timestamp

SLOT = timedelta(seconds=10)
LONGEST_EVIDENCE = 500
_SAMPLE_LINES = 100
_LOOK_BACK = 200  # lines without a time that are looked at before giving up
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


_Piece = tuple[bytes, datetime | None]


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


@dataclass(slots=True)
class Ledger:
    """Counts one file, chunk after chunk, and puts each line into the slot of its time."""

    tallier: Tallier
    patterns: Patterns
    detecting: bool = True  # else the user has named the format
    first_line_at: datetime | None = None
    last_line_at: datetime | None = None
    last_error: bytes | None = None
    samples: dict[bytes, bytes] = field(default_factory=dict)
    slots: dict[datetime, Bucket] = field(default_factory=dict)

    def add(self, chunk: bytes, clock: Clock) -> None:
        """Count the complete lines of *chunk*; one without a time has that of the line before."""
        if self.detecting:
            lines = chunk[: 2 * BLOCK].split(b"\n")[:_SAMPLE_LINES]
            self.tallier.use(detect((line for line in lines if line), self.tallier.format))
        before: datetime | None = None
        for block in cut(chunk, BLOCK):
            pieces = _by_time(block, clock, before)
            before = pieces[-1][1]
            for _, same in groupby(pieces, key=lambda piece: _slot(piece[1] or clock.now)):
                parts = list(same)
                self._enter(b"".join(part for part, _ in parts), parts[-1][1] or clock.now)

    def buckets(self) -> tuple[Bucket, ...]:
        """Return what has been counted, oldest first."""
        return tuple(self.slots[at] for at in sorted(self.slots))

    def _enter(self, piece: bytes, at: datetime) -> None:
        slot = _slot(at)
        bucket = Bucket(slot, self.tallier.count(piece), count_matches(piece, self.patterns))
        self.slots[slot] = self.slots[slot] + bucket if slot in self.slots else bucket
        self.first_line_at = self.first_line_at or at
        self.last_line_at = max(at, self.last_line_at or at)
        self.last_error = bucket.tally.last_error or self.last_error
        if len(self.samples) < SAMPLES:
            self.samples = {**bucket.tally.samples, **self.samples}


def _by_time(block: bytes, clock: Clock, before: datetime | None) -> list[_Piece]:
    """Cut *block* into pieces that were each written within one slot, with their times."""
    first = clock.time_of(block[: block.find(b"\n")]) or before
    last = last_time(block, clock) or first
    if first is None or last is None:
        return [(block, last)]
    return _halve(block, clock, first, last)


def _halve(block: bytes, clock: Clock, first: datetime, last: datetime) -> list[_Piece]:
    """Halve *block* until no piece goes over the end of a slot; log files are in order of time."""
    middle = block.find(b"\n", len(block) // 2, -1) + 1 or block.rfind(b"\n", 0, len(block) // 2) + 1
    if _slot(first) == _slot(last) or not middle:
        return [(block, last)]
    left, right = block[:middle], block[middle:]
    end = last_time(left, clock) or first
    begin = clock.time_of(right[: right.find(b"\n")]) or end
    return _halve(left, clock, first, end) + _halve(right, clock, begin, last)


def _slot(at: datetime) -> datetime:
    return at - timedelta(seconds=at.timestamp() % SLOT.total_seconds())


def last_time(lines: bytes, clock: Clock) -> datetime | None:
    """Return the time of the last of *lines* that says one; a traceback's length is looked back."""
    end = len(lines) - 1
    for _ in range(_LOOK_BACK):
        start = lines.rfind(b"\n", 0, end) + 1
        if at := clock.time_of(lines[start:end]):
            return at
        end = start - 1
        if end < 0:
            break
    return None


def evidence(line: bytes) -> str:
    """Show a log line to people: bounded, on one line, without secrets or what moves a terminal."""
    text = _ESCAPES.sub("", line[: 4 * LONGEST_EVIDENCE].decode("utf-8", "replace"))
    text = redact(_CONTROLS.sub(" ", text).strip())
    return text if len(text) <= LONGEST_EVIDENCE else text[: LONGEST_EVIDENCE - 1] + "…"
