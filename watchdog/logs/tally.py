"""
Counts of a whole chunk of log, exactly what reading it line by line would give, only faster.

Within one file a few headers, alike but for their digits, begin almost every line. So the digits
are masked and each such header is counted in one search; only the lines left over are read one
by one. A search is anchored to the line's start, so no text inside a message is ever counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from watchdog.logs.formats import BARE, FORMATS, classify, level_of, strip
from watchdog.logs.levels import ERRORS, Level
from watchdog.logs.records import Context, follow

BLOCK = 1 << 16  # fits the processor's cache
SMALL = 1 << 11  # below this it is cheaper to read line by line
MOST_HEADERS = 16
LONGEST_HEADER = 400
SAMPLES = 200  # distinct error lines that a tally keeps
_SAMPLES_OF_A_HEADER = 5
_WORTH_SHARING = 10  # a shorter beginning is found too often to be quick
_SAMPLE_LENGTH = 2000
_MASK = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_COUNTED = b"1"  # no masked text has another digit than 0


@dataclass(frozen=True, slots=True)
class Tally:
    """
    How many lines, how many records, and how many records of each level.

    *last_error* is the last error line, with the exception its traceback ended in; *samples*
    are a few of the error lines by what they are with their digits masked.
    """

    lines: int = 0
    records: int = 0
    levels: Mapping[Level, int] = field(default_factory=dict)
    last_error: bytes | None = None
    samples: Mapping[bytes, bytes] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """Return the number of records at level error or above."""
        return sum(self.levels.get(level, 0) for level in ERRORS)

    def __add__(self, other: "Tally") -> "Tally":
        """Return both counts together, *other* being the later."""
        levels = dict(self.levels)
        for level, count in other.levels.items():
            levels[level] = levels.get(level, 0) + count
        samples = {**other.samples, **self.samples} if self.samples else other.samples
        return Tally(
            self.lines + other.lines,
            self.records + other.records,
            levels,
            other.last_error or self.last_error,
            dict(islice(samples.items(), SAMPLES)) if len(samples) > SAMPLES else samples,
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
        self._open_line = b""  # the first line of the record that the next lines may belong to
        self._headers: dict[bytes, Level] = {}  # masked, with the line end before; most frequent first
        self._shared = b""  # what all headers begin with
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
            self._shared = b""

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
        lines = block.count(b"\n")
        found.lines += lines
        if len(block) < self._small:
            at = 0
            for line in block[1:].split(b"\n"):
                self._read(line, at, found)
                at += len(line) + 1
            return
        masked = block.translate(_MASK)
        begun = masked.count(self._shared) if len(self._shared) >= _WORTH_SHARING else lines
        left = begun
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
        if left or begun < lines:
            # Where no other line begins with what the headers share, marking that marks them all.
            marks = [header for header in counts if counts[header]] if left else [self._shared]
            self._read_others(block, _mark(masked, marks), found)
        else:
            self._pass(block, 0, len(block))
        self._sort_headers(counts)

    def _read_others(self, block: bytes, masked: bytes, found: "_Found") -> None:
        """Read the lines of *block* that are not marked as counted in *masked*."""
        end = 0
        at = masked.find(b"\n")
        while at >= 0:
            if at > end:
                self._pass(block, end, at)
            end = block.find(b"\n", at + 1)
            end = len(block) if end < 0 else end
            self._read(block[at + 1 : end], at, found)
            at = masked.find(b"\n", end)
        if end < len(block):
            self._pass(block, end, len(block))

    def _pass(self, block: bytes, start: int, end: int) -> None:
        """Leave behind the lines from *start* to *end*, all counted by their headers."""
        self._open_line = block[block.rfind(b"\n", start, end) + 1 : end]
        self.context = Context.RECORD

    def _read(self, line: bytes, at: int, found: "_Found") -> None:
        """Count one *line* as a reading line by line does, and learn its header."""
        before = self.context
        level, self.context = follow(line, self._format, before)
        if level is None:
            if before is Context.TRACEBACK and self.context is Context.RECORD:
                is_error = classify(self._open_line, self._format) in ERRORS
                found.exception(line, at, self._open_line if is_error else None)
            return
        found.levels[level] += 1
        self._open_line = line
        if level in ERRORS:
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
        self._shared = _common_start(order)


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
            self.samples.setdefault(sample.translate(_MASK), sample)
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
            self.samples,
        )


def _common_start(headers: list[bytes]) -> bytes:
    """Return what all of *headers* begin with."""
    if not headers:
        return b""
    first, last = min(headers), max(headers)
    same = next(
        (at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first)
    )
    return first[:same]


def _mark(masked: bytes, headers: Iterable[bytes]) -> bytes:
    """Replace the line end before each of *headers*, and keep every place as it is."""
    for header in headers:
        masked = masked.replace(header, _COUNTED + header[1:])
    return masked


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
