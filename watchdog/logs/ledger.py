"""What was counted of one log file, by the time at which it was written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from watchdog.logs.formats import BARE, detect
from watchdog.logs.patterns import Patterns, count_matches
from watchdog.logs.redact import redact
from watchdog.logs.tally import BLOCK, SAMPLES, Tallier, Tally
from watchdog.logs.times import timestamp

SLOT = timedelta(seconds=10)
LONGEST_EVIDENCE = 500
_SAMPLE_LINES = 100
_LOOK_BACK = 200  # lines without a time that are looked at before giving up
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was written in the `SLOT` that begins *at*; *matches* counts lines by pattern."""

    at: datetime
    tally: Tally
    matches: dict[str, int]

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


@dataclass(slots=True)
class Ledger:
    """Counts chunk after chunk of one file and puts each line into the slot of its time."""

    tallier: Tallier
    patterns: Patterns
    tz: tzinfo = UTC
    detecting: bool = True  # else the user has named the format
    last_line_at: datetime | None = None
    last_error: bytes | None = None
    samples: dict[bytes, None] = field(default_factory=dict)
    slots: dict[datetime, tuple[Tally, dict[str, int]]] = field(default_factory=dict)

    def add(self, chunk: bytes, now: datetime, earliest: datetime | None = None) -> None:
        """
        Count the complete lines of *chunk*, which were all written after *earliest* and by *now*.

        A line without a time has that of the line before. What a line says is bounded by what
        we know: a clock in the wrong zone must not move errors out of sight.
        """
        if self.detecting:
            lines = chunk[: BLOCK * 2].split(b"\n")[:_SAMPLE_LINES]
            self.tallier.use(detect((line for line in lines if line), self.tallier.format))
        for block in _cut(chunk, BLOCK):
            for piece, at in self._by_time(block, now):
                at = min(max(at, earliest) if earliest else at, now)  # noqa: PLW2901
                self._enter(piece, at)

    def buckets(self) -> tuple[Bucket, ...]:
        """Return what has been counted, oldest first."""
        return tuple(Bucket(at, *self.slots[at]) for at in sorted(self.slots))

    def _enter(self, piece: bytes, at: datetime) -> None:
        tally = self.tallier.count(piece)
        matches = count_matches(piece, self.patterns)
        slot = datetime.fromtimestamp(at.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)
        if slot in self.slots:
            before, earlier = self.slots[slot]
            tally_sum = before + tally
            matches = {name: earlier[name] + count for name, count in matches.items()}
        else:
            tally_sum = tally
        self.slots[slot] = tally_sum, matches
        self.last_line_at = max(at, self.last_line_at or at)
        self.last_error = tally.last_error or self.last_error
        for sample in tally.samples:
            if len(self.samples) < SAMPLES:
                self.samples[sample] = None

    def _by_time(self, block: bytes, now: datetime) -> Iterator[tuple[bytes, datetime]]:
        """Halve *block* until each piece was written within one slot."""
        first = self._first_time(block, now)
        last = self._last_time(block, now) or first
        if last - first < SLOT or block.count(b"\n") == 1:
            self._carried = last
            yield block, last
            return
        for half in _halves(block):
            yield from self._by_time(half, now)


def evidence(line: bytes) -> str:
    """Show a log line to people: bounded, on one line, without secrets or what moves a terminal."""
    text = _ESCAPES.sub("", line[: 4 * LONGEST_EVIDENCE].decode("utf-8", "replace"))
    text = redact(_CONTROLS.sub(" ", text).strip())
    return text if len(text) <= LONGEST_EVIDENCE else text[: LONGEST_EVIDENCE - 1] + "…"
