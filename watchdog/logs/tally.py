"""
Counts of a whole chunk of log, exactly what reading it line by line would give, only faster.

A block of lines is sorted by their headers at once; what no header tells is read one by one, and
remembered, because much of it is said again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from watchdog.logs.arrays import np
from watchdog.logs.errorlines import ErrorLine, ErrorRecords, merge_error_lines
from watchdog.logs.formats import BARE, classify
from watchdog.logs.headers import Headers, Sorted
from watchdog.logs.levels import ERRORS, Level
from watchdog.logs.lines import BLOCK, KEY_LENGTH, Lines, cut, mask
from watchdog.logs.records import Context, follow
from watchdog.logs.rows import UNKNOWN

SMALL = 1 << 13  # below this it is cheaper to read line by line
_FIRST = 16  # blocks in one
_MOST_REMEMBERED = 4096  # lines
_LONGEST_REMEMBERED = 500
# Python 3.11 is slow to look up a member, and slow to hash it.
_RECORD, _TRACEBACK = Context.RECORD, Context.TRACEBACK
_NONE = Level.NONE
_Answer = tuple[Level | None, Context]  # of `follow`
_UNKNOWN: _Answer = Level.ERROR, Context.START  # told by nobody
_PLAIN: _Answer = _NONE, _RECORD


@dataclass(frozen=True, slots=True)
class Tally:
    """
    How many lines, how many records, and how many records of each level.

    *last_error* is the last error line, with the exception its traceback ended in. *error_lines*
    counts every error record by its first line with its digits masked to 0, cut at 300 bytes; what
    is beyond `MOST_ERROR_LINES` of them is counted under `OTHER`. *ignored* counts the error records
    that nobody wants to hear of: they are in the levels, and nowhere else.
    """

    lines: int = 0
    records: int = 0
    levels: Mapping[Level, int] = field(default_factory=dict)
    last_error: bytes | None = None
    error_lines: Mapping[bytes, ErrorLine] = field(default_factory=dict)
    ignored: int = 0

    @property
    def errors(self) -> int:
        """Return the number of records at level error or above that are not ignored."""
        return sum(self.levels.get(level, 0) for level in ERRORS) - self.ignored

    def __add__(self, other: "Tally") -> "Tally":
        """Return both counts together, *other* being the later."""
        levels = dict(self.levels)
        for level, count in other.levels.items():
            levels[level] = levels.get(level, 0) + count
        return Tally(
            self.lines + other.lines,
            self.records + other.records,
            levels,
            other.last_error or self.last_error,
            merge_error_lines(self.error_lines, other.error_lines),
            self.ignored + other.ignored,
        )


def tally(chunk: bytes, format: str = BARE, context: Context = Context.START) -> Tally:
    """Count the lines, records and levels of *chunk*, which begins in *context*."""
    return Tallier(format, context).count(chunk)


@dataclass(slots=True)
class Counting:
    """What has been counted so far of some chunks."""

    errors: ErrorRecords
    lines: int = 0
    levels: Counter[Level] = field(default_factory=Counter)

    def tally(self) -> Tally:
        """Return the counts."""
        records = self.levels.total()
        lines, last = self.errors.told()
        return Tally(self.lines, records, dict(self.levels), last, lines, self.errors.ignored)


class Tallier:
    """
    Counts one file, chunk after chunk, and learns its headers while doing so.

    Works *block* bytes at a time, and reads what has fewer than *small* line by line. *ignored* is
    asked for the first line of each error record.
    """

    def __init__(
        self,
        format: str = BARE,
        context: Context = Context.START,
        *,
        block: int = BLOCK,
        small: int = SMALL,
        ignored: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.context = context
        self._block = block
        self._small = small
        self._ignored = ignored
        self._open_line = b""  # the first line of the record that the next lines may belong to
        self._format = format
        self._start_learning()

    @property
    def format(self) -> str:
        """Return the name of the format that is tried first."""
        return self._format

    def use(self, format: str) -> None:
        """Try *format* first from now on."""
        if format != self._format:
            self._format = format
            self._start_learning()

    def _start_learning(self) -> None:
        self._is_new = True
        self._headers = Headers(self._format, errors_apart=self._ignored is not None)
        self._memories: dict[Context, dict[bytes, _Answer]] = {context: {} for context in Context}

    def start(self) -> Counting:
        """Return what counts nothing yet."""
        return Counting(ErrorRecords(self._ignored))

    def count(self, *chunks: bytes) -> Tally:
        """Count the lines of *chunks*, whose last may lack their line ends."""
        count = self.start()
        for chunk in chunks:
            self.add(chunk, count)
        return count.tally()

    def add(self, chunk: bytes, count: Counting, show: Callable[[Lines], None] | None = None) -> None:
        """Add the lines of *chunk*, whose last may lack its end, to *count*; *show* all of them as well."""
        for block in self._cut(chunk):
            if not show and len(block) < self._small:
                self._count_lines(block, count)
                continue
            lines = Lines(block)
            self._count_block(lines, count)
            if show:
                show(lines)

    def _cut(self, chunk: bytes) -> Iterator[bytes]:
        """Cut *chunk* into blocks, of which the first is short, to learn from."""
        start = 0
        if self._is_new:
            self._is_new = False
            start = chunk.rfind(b"\n", 0, self._block // _FIRST) + 1
            if start:
                yield chunk[:start]
        if start < len(chunk):
            yield from cut(chunk[start:] if start else chunk, self._block)

    def _count_lines(self, block: bytes, count: Counting) -> None:
        """Count the lines of *block*, one by one."""
        for line in block.removesuffix(b"\n").split(b"\n"):
            self._enter(line, mask(line), count.lines, count)
            count.lines += 1

    def _count_block(self, lines: Lines, count: Counting) -> None:
        """Count *lines* by their headers; those that no header tells, one by one."""
        told = self._headers.sort(lines)
        count.levels.update(told.levels)
        count.errors.add(told, lines, count.lines)
        if len(told.left):
            masked = lines.masked if len(told.left) == len(lines) else lines.cut(told.left)
            if (self.context is _RECORD or told.left[0]) and self._are_plain(masked):
                count.levels[_NONE] += len(masked)
                self._pass(lines.line(told.left.item(-1)))
            else:
                self._count_rest(told, masked, lines, count)
        if told.codes[-1] != UNKNOWN:
            self._pass(lines.line(len(lines) - 1))
        count.lines += len(lines)

    def _count_rest(self, told: Sorted, all_masked: list[bytes], lines: Lines, count: Counting) -> None:
        """Count those *lines* that were not *told*, here *all_masked*; all others begin a record."""
        context, memory = self.context, self._memories[self.context]
        behind_record = self._memories[_RECORD]
        left, following = told.left.tolist(), 0
        record = -1  # the number of the line that began it, as long as nobody wants to see it
        ended: dict[bool, list[tuple[int, int]]] = {True: [], False: []}  # records by whether they are errors
        none = 0
        for number, masked in zip(left, all_masked, strict=True):
            after = _RECORD if number > following else context
            if number > following:
                record = number - 1
            if after is not context:
                context, memory = after, behind_record if after is _RECORD else self._memories[after]
            following = number + 1
            level, after = memory.get(masked, _UNKNOWN)
            if level is _NONE:
                none += 1
                record = number
            elif level is None and context is _TRACEBACK and after is _RECORD and record >= 0:
                ended[told.is_error(record)].append((record, number))
            elif level is not None or (context is _TRACEBACK and after is _RECORD):
                if record >= 0:
                    self._open_line = lines.line(record)
                    record = -1
                self.context = context
                self._enter(lines.line(number), masked, count.lines + number, count)
                after = self.context
            if after is not context:
                context, memory = after, behind_record if after is _RECORD else self._memories[after]
        self.context = context
        if record >= 0:
            self._open_line = lines.line(record)
        if none:
            count.levels[_NONE] += none
        self._explain(ended[True], lines, count)
        for _, number in ended[False][-1:]:
            count.errors.explain(None, lines.line(number), count.lines + number)

    def _explain(self, ended: list[tuple[int, int]], lines: Lines, count: Counting) -> None:
        """Note what the tracebacks of errors ended in, of records and last lines, the newest of each kind."""
        kinds = lines.cut(np.array([record for record, _ in ended], np.intp), KEY_LENGTH)
        for record, number in dict(zip(kinds, ended, strict=True)).values():
            count.errors.explain(lines.line(record), lines.line(number), count.lines + number)

    def _are_plain(self, masked: list[bytes]) -> bool:
        """Say whether each of these lines is known to be a record without a level, behind a record."""
        memory = self._memories[_RECORD]
        return memory.get(masked[0]) is _PLAIN and list(map(memory.get, masked)).count(_PLAIN) == len(masked)

    def _pass(self, line: bytes) -> None:
        """Leave *line* behind, which begins a record."""
        self._open_line = line
        self.context = _RECORD

    def _enter(self, line: bytes, masked: bytes, number: int, count: Counting) -> None:
        """Count one *line*, as reading line by line does."""
        before = self.context
        level, self.context = self._follow(line, masked, before)
        if level is not None:
            count.levels[level] += 1
            self._open_line = line
            if level in ERRORS:
                count.errors.add_one(line, masked, number)
        elif before is _TRACEBACK and self.context is _RECORD:
            record = self._open_line
            told = self._headers.level(record, mask(record)) or classify(record, self._format)
            count.errors.explain(record if told in ERRORS else None, line, number)

    def _follow(self, line: bytes, masked: bytes, context: Context) -> tuple[Level | None, Context]:
        """Follow *line* unless the answer is remembered, and learn from it."""
        # The digits of JSON and of a syslog priority mean something.
        key = line + b"\n" if b"{" in masked or masked[:1] == b"<" else masked
        remembered = self._memories[context]
        if known := remembered.get(key):
            return known
        if told := self._headers.level(line, masked):
            return told, _RECORD
        answer = level, after = follow(line, self._format, context)
        if level is _NONE and after is _RECORD:
            answer = _PLAIN
        if len(key) <= _LONGEST_REMEMBERED:
            if len(remembered) >= _MOST_REMEMBERED:
                remembered.clear()
            remembered[key] = answer
        if level is not None and level is not _NONE:
            self._headers.learn(line, masked, level)
        return answer
