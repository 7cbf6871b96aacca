"""
Counts of a whole chunk of log, exactly what reading it line by line would give, only faster.

Within one file a few headers, alike but for their digits, begin almost every line. So the digits
are masked and each such header is counted in one search; only the lines left over are read one
by one. A search is anchored to the line's start, so no text inside a message is ever counted.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from watchdog.logs.formats import BARE, FORMATS, level_of, strip
from watchdog.logs.levels import ERRORS, Level
from watchdog.logs.records import Context, follow

BLOCK = 1 << 16  # fits the processor's cache
SMALL = 1 << 11  # below this it is cheaper to read line by line
MOST_HEADERS = 16
LONGEST_HEADER = 400
SAMPLES = 200  # distinct error lines that a tally keeps
_SAMPLES_OF_A_HEADER = 10
_SAMPLE_LENGTH = 2000
_MASK = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_DIGITS = re.compile(rb"[0-9]+")
_COUNTED = b"1"  # no masked text has another digit than 0


@dataclass(frozen=True, slots=True)
class Tally:
    """
    How many lines, how many records, and how many records of each level.

    *last_error* is the last error line, with the exception its traceback ended in; *samples*
    are a few of the error lines, no two alike but for their digits.
    """

    lines: int = 0
    records: int = 0
    levels: Mapping[Level, int] = field(default_factory=dict)
    last_error: bytes | None = None
    samples: tuple[bytes, ...] = ()

    @property
    def errors(self) -> int:
        """Return the number of records at level error or above."""
        return sum(self.levels.get(level, 0) for level in ERRORS)

    def __add__(self, other: "Tally") -> "Tally":
        """Return both counts together, *other* being the later."""
        levels = dict(self.levels)
        for level, count in other.levels.items():
            levels[level] = levels.get(level, 0) + count
        distinct = {_DIGITS.sub(b"0", sample): sample for sample in self.samples + other.samples}
        return Tally(
            self.lines + other.lines,
            self.records + other.records,
            levels,
            other.last_error or self.last_error,
            tuple(distinct.values())[:SAMPLES],
        )


def tally(chunk: bytes, format: str = BARE, context: Context = Context.START) -> Tally:
    """Count the lines, records and levels of *chunk*, which begins in *context*."""
    return Tallier(format, context).count(chunk)


def cut(chunk: bytes, size: int) -> Iterator[bytes]:
    """Cut *chunk* behind line ends into pieces no longer than *size*, unless one line is."""
    if len(chunk) <= size:
        yield chunk
        return
    start = 0
    while start < len(chunk):
        end = chunk.rfind(b"\n", start, start + size) + 1 or chunk.find(b"\n", start + size) + 1
        yield chunk[start : end or len(chunk)]
        start = end or len(chunk)


class Tallier:
    """
    Counts one file, chunk after chunk, and learns its headers while doing so.

    Works *block* bytes at a time, and reads what has fewer than *small* line by line.
    """

    def __init__(
        self,
        format: str = BARE,
        context: Context = Context.START,
        *,
        block: int = BLOCK,
        small: int = SMALL,
    ) -> None:
        self.context = context
        self._block = block
        self._small = small
        self._open_error: bytes | None = None  # the first line of the open record, if it is an error
        self._headers: dict[bytes, Level] = {}  # masked, with the line end before; most frequent first
        self._format = format

    @property
    def format(self) -> str:
        """Return the name of the format that is tried first."""
        return self._format

    def use(self, format: str) -> None:
        """Try *format* first from now on."""
        if format != self._format:
            self._format = format
            self._headers = {}

    def count(self, chunk: bytes) -> Tally:
        """Count the lines of *chunk*, the last of which may lack its line end."""
        found = _Found()
        if chunk:
            for block in cut(chunk if chunk.endswith(b"\n") else chunk + b"\n", self._block):
                self._count_block(b"".join((b"\n", memoryview(block)[:-1])), found)
                found.base += len(block)
        return found.tally()

    def _count_block(self, block: bytes, found: "_Found") -> None:
        """Count a *block* in which every line has its line end before it."""
        left = block.count(b"\n")
        found.lines += left
        if len(block) < self._small:
            at = 0
            for line in block[1:].split(b"\n"):
                self._read(line, at, found)
                at += len(line) + 1
            return
        masked = block.translate(_MASK)
        counts: dict[bytes, int] = {}
        for header, level in self._headers.items():
            counts[header] = count = masked.count(header)
            if count:
                left -= count
                found.levels[level] += count
                if level in ERRORS:
                    _sample(block, masked, header, found)
            if not left:
                break
        if left:
            self._read_others(block, masked, [header for header in counts if counts[header]], found)
        else:
            self._pass(block, masked, 0, len(block))
        self._sort_headers(counts)

    def _read_others(self, block: bytes, masked: bytes, headers: list[bytes], found: "_Found") -> None:
        """Read the lines of *block* that begin with none of *headers*."""
        for header in headers:
            masked = masked.replace(header, _COUNTED + header[1:])
        end = 0
        at = masked.find(b"\n")
        while at >= 0:
            if at > end:
                self._pass(block, masked, end, at)
            end = block.find(b"\n", at + 1)
            end = len(block) if end < 0 else end
            self._read(block[at + 1 : end], at, found)
            at = masked.find(b"\n", end)
        if end < len(block):
            self._pass(block, masked, end, len(block))

    def _pass(self, block: bytes, masked: bytes, start: int, end: int) -> None:
        """Leave behind the lines from *start* to *end*, all counted by their headers."""
        last = block.rfind(b"\n", start, end) + 1
        is_error = any(
            level in ERRORS and masked.startswith(header[1:], last) for header, level in self._headers.items()
        )
        self._open_error = block[last:end] if is_error else None
        self.context = Context.RECORD

    def _read(self, line: bytes, at: int, found: "_Found") -> None:
        """Count one *line* as a reading line by line does, and learn its header."""
        before = self.context
        level, self.context = follow(line, self._format, before)
        if level is None:
            if before is Context.TRACEBACK and self.context is Context.RECORD:
                found.exception(line, at, self._open_error)
            return
        found.levels[level] += 1
        self._open_error = line if level in ERRORS else None
        if self._open_error is not None:
            found.error(line, at)
        if level is not Level.NONE and len(self._headers) < MOST_HEADERS:
            self._learn(line)

    def _learn(self, line: bytes) -> None:
        """Remember the header of *line* if its bytes alone, digits masked, decide the level."""
        bare = strip(line)
        match = FORMATS[self._format].match(bare)
        if match is None or not match.lastindex or match[1].isdigit():
            return
        end, level = match.end(), level_of(match)
        decided = level is not Level.NONE and end < len(bare) and line.startswith(bare[:end])
        if decided and end < LONGEST_HEADER:
            self._headers.setdefault(b"\n" + bare[:end].translate(_MASK), level)

    def _sort_headers(self, counts: Mapping[bytes, int]) -> None:
        """Put this block's frequent headers first; drop an unused one where there are too many."""
        order = sorted(self._headers, key=lambda header: -counts.get(header, 1))
        if len(order) == MOST_HEADERS and not counts.get(order[-1], 1):
            order.pop()
        self._headers = {header: self._headers[header] for header in order}


@dataclass(slots=True)
class _Found:
    """What has been counted so far of one chunk."""

    lines: int = 0
    base: int = 0  # where the present block begins
    levels: Counter[Level] = field(default_factory=Counter)
    samples: dict[bytes, bytes] = field(default_factory=dict)
    last_error: bytes | None = None
    last_at: int = -1

    def error(self, line: bytes, at: int) -> None:
        """Keep an error line, which stands *at* that place of the block."""
        if len(self.samples) < SAMPLES:
            sample = line[:_SAMPLE_LENGTH]
            self.samples.setdefault(_DIGITS.sub(b"0", sample), sample)
        if self.base + at > self.last_at:
            self.last_at = self.base + at
            self.last_error = line[:_SAMPLE_LENGTH]

    def exception(self, line: bytes, at: int, record: bytes | None) -> None:
        """Keep the exception of a traceback, behind the error *record* that it explains."""
        if self.base + at > self.last_at:
            self.last_at = self.base + at
            first = record[: _SAMPLE_LENGTH // 2] + b" | " if record else b""
            self.last_error = first + line[: _SAMPLE_LENGTH // 2]

    def tally(self) -> Tally:
        """Return the counts."""
        return Tally(
            self.lines,
            self.levels.total(),
            dict(self.levels),
            self.last_error,
            tuple(self.samples.values()),
        )


def _sample(block: bytes, masked: bytes, header: bytes, found: _Found) -> None:
    """Keep the last few lines of *block* that begin with the error *header*."""
    end = len(block)
    for _ in range(_SAMPLES_OF_A_HEADER if len(found.samples) < SAMPLES else 1):
        at = masked.rfind(header, 0, end)
        if at < 0:
            return
        stop = block.find(b"\n", at + 1)
        found.error(block[at + 1 : len(block) if stop < 0 else stop], at)
        end = at
