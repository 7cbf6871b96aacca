"""The error records of a chunk of log, counted by their first lines with the digits masked."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from watchdog.logs.headers import Sorted
from watchdog.logs.lines import KEY_LENGTH, Lines, mask

MOST_ERROR_LINES = 2000  # that are told apart
OTHER = b""  # the key of all others
_SAMPLE_LENGTH = 2000
_NEVER = -1, b""


class ErrorLine(NamedTuple):
    """How many error records began with a line, and the newest, with an exception if one ended in it."""

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody wants
    sample: bytes


def merge_error_lines(
    earlier: Mapping[bytes, ErrorLine], later: Mapping[bytes, ErrorLine]
) -> Mapping[bytes, ErrorLine]:
    """Return the counts of both together, no more than `MOST_ERROR_LINES` of them by name."""
    if not earlier or not later:
        return earlier or later
    merged = dict(earlier)
    for own, (count, sample) in later.items():
        key = own if own in merged or len(merged) < MOST_ERROR_LINES else OTHER
        known = merged.get(key)
        merged[key] = ErrorLine(count + known.count if known else count, sample)
    return merged


@dataclass(slots=True)
class ErrorRecords:
    """
    Collects the error records of one chunk, whose lines are numbered from 0.

    *ignores* is asked for the first line of each record that is added alone: those are counted and
    forgotten. What lines of a block are shown is only looked up at the end, when they are few.
    """

    ignores: Callable[[bytes], bool] | None = None
    ignored: int = 0
    _counts: Counter[bytes] = field(default_factory=Counter)
    _newest: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)  # with its number
    _unseen: dict[bytes, int] = field(default_factory=dict)  # keys whose newest line is to be looked up
    _block: tuple[int, Lines] | None = None  # in which it has that number, behind those before
    _ended: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)  # with their exceptions
    _last_exception: tuple[int, bytes] = _NEVER

    def add(self, found: Sorted, lines: Lines, first: int) -> None:
        """Count the errors *found* among *lines*, the first of which has the number *first*."""
        newest: dict[bytes, int] = {}
        for key, count, number in found.errors.counts():
            self._counts[key] += count
            newest[key] = max(number, newest.get(key, 0))
        if not newest:
            return
        self._look_up(self._unseen.keys() - newest.keys())
        self._unseen = newest
        self._block = first, lines
        self._fold()

    def add_one(self, line: bytes, masked: bytes, number: int) -> None:
        """Count one error record, whose first line is *line*."""
        if self.ignores and self.ignores(line):
            self.ignored += 1
            return
        key = masked[:KEY_LENGTH]
        self._counts[key] += 1
        self._newest[key] = number, line[:_SAMPLE_LENGTH]
        self._fold()

    def explain(self, record: bytes | None, exception: bytes, number: int) -> None:
        """Note that the traceback of an error *record*, None if it was no error, ended in *exception*."""
        if record is None:
            text = exception[: _SAMPLE_LENGTH // 2]
        elif self.ignores and self.ignores(record):
            return
        else:
            text = record[: _SAMPLE_LENGTH // 2] + b" | " + exception[: _SAMPLE_LENGTH // 2]
            key = mask(record[:KEY_LENGTH])
            self._ended[key] = max((number, text), self._ended.get(key, _NEVER))
        self._last_exception = max((number, text), self._last_exception)

    def told(self) -> tuple[dict[bytes, ErrorLine], bytes | None]:
        """Return the counts, and the last record's first line with the exception that it ended in."""
        self._fold(MOST_ERROR_LINES)
        self._look_up(self._unseen.keys())
        counts = {
            key: ErrorLine(number, (self._ended.get(key) or self._newest[key])[1])
            for key, number in self._counts.items()
        }
        number, last = max(self._newest.values(), default=(-1, None))
        return counts, self._last_exception[1] if self._last_exception[0] > number else last

    def _look_up(self, keys: Collection[bytes]) -> None:
        """Note the newest lines of *keys* in the last block."""
        if self._block is None:
            return
        first, lines = self._block
        for key in keys:
            number = self._unseen[key]
            if first + number > self._newest.get(key, _NEVER)[0]:
                self._newest[key] = first + number, lines.line(number)[:_SAMPLE_LENGTH]

    def _fold(self, most: int = 4 * MOST_ERROR_LINES) -> None:
        """Where there are more than *most*, count those under `OTHER` that came after enough others."""
        if len(self._counts) <= most:
            return
        self._look_up(self._unseen.keys())
        self._unseen = {}
        for key in list(islice((key for key in self._counts if key != OTHER), MOST_ERROR_LINES, None)):
            self._counts[OTHER] += self._counts.pop(key)
            self._newest[OTHER] = max(self._newest.pop(key), self._newest.get(OTHER, _NEVER))
