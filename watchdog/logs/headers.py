"""
What the lines of one file begin with, and the level that it decides.

Within one file a few headers, alike but for their digits, begin almost every line. So the digits
are masked, the beginnings of all lines are compared with the known headers at once, and only the
lines left over need to be read one by one. A header is compared with a line's beginning, so no
text inside a message is ever counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from watchdog.logs.arrays import np
from watchdog.logs.formats import FORMATS, level_of, strip
from watchdog.logs.jsonlines import JsonLines
from watchdog.logs.levels import ERRORS, Level, of_number
from watchdog.logs.lines import KEY_LENGTH, Alike, Lines, mask
from watchdog.logs.rows import UNKNOWN, Codes, Flags, Places, Rows, Table, padded

LONGEST_HEADER = 400
_MOST_SHAPES = 12
_LEVELS = tuple(Level)
_NUMBER = {level: number for number, level in enumerate(_LEVELS)}  # 3.11 is slow to hash a member
_ERRORS = frozenset(_NUMBER[level] for level in ERRORS)
_NINES = bytes(ord("9") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))


@cache
def _is_error() -> Flags:
    """Return of each level whether it is an error; the last is that of UNKNOWN."""
    return np.array([level in ERRORS for level in _LEVELS] + [False])


class _Shape(NamedTuple):
    """How long a header is, and where in it the digits stand that say its level, if they do."""

    length: int
    digits: tuple[int, int] | None = None

    def rows(self, lines: Lines, starts: Places) -> Rows:
        """Return what is compared of the lines that begin at *starts*."""
        rows = lines.rows(starts, self.length)
        if self.digits:
            first, end = self.digits
            rows = np.hstack((rows, lines.rows(starts + first, end - first, raw=True)))
        return rows

    def row(self, line: bytes, masked: bytes) -> bytes:
        """Return what is compared of one line; nothing if it is too short."""
        if len(masked) < self.length:
            return b""
        return padded(masked[: self.length]) + (padded(line[slice(*self.digits)]) if self.digits else b"")


@dataclass(slots=True)
class Sorted:
    """
    The level of each line of a block as far as it was told, and the numbers of the lines *left* over.

    *errors* are the error lines that were told, masked and cut.
    """

    codes: Codes
    left: Places
    errors: Alike

    @property
    def levels(self) -> dict[Level, int]:
        """Return how many lines have each level."""
        counts = np.bincount(self.codes + 1, minlength=len(_LEVELS) + 1).tolist()[1:]
        return {level: count for level, count in zip(_LEVELS, counts, strict=True) if count}

    def is_error(self, number: int) -> bool:
        """Say whether one line was told to be an error."""
        return self.codes.item(number) in _ERRORS


class Headers:
    """
    The headers of one file in *format*, learnt from the lines that were read one by one.

    With *errors_apart* an error line is always left over when lines are sorted.
    """

    def __init__(self, format: str, *, errors_apart: bool = False) -> None:
        self._errors_apart = errors_apart
        self._pattern = FORMATS[format]
        self._json = JsonLines(self._pattern) if format == "json" else None
        self._shapes: dict[_Shape, Table] = {}  # the most used first

    def sort(self, lines: Lines) -> Sorted:
        """Tell the levels of all of *lines* that begin with a known header."""
        codes: Codes = np.full(len(lines), UNKNOWN, np.int8)
        left: Places = np.arange(len(lines))
        uses: dict[_Shape, int] = {}
        for shape, table in self._shapes.items():
            found = table.find(shape.rows(lines, lines.starts[left]))
            codes[left] = found
            is_left = found == UNKNOWN
            uses[shape] = len(left)
            left = left[is_left]
            uses[shape] -= len(left)
            if not len(left):
                break
        order = sorted(self._shapes, key=lambda shape: -uses.get(shape, 0))
        self._shapes = {shape: self._shapes[shape] for shape in order[:_MOST_SHAPES]}
        if self._json and self._json.is_any_known and len(left):
            self._json.tell(lines, left, codes)
            left = left[codes[left] == UNKNOWN]
        is_error = _is_error()[codes]
        if self._errors_apart and is_error.any():
            codes[is_error] = UNKNOWN
            left, is_error[:] = (codes == UNKNOWN).nonzero()[0], False
        return Sorted(codes, left, lines.alike(is_error.nonzero()[0], KEY_LENGTH))

    def level(self, line: bytes, masked: bytes) -> Level | None:
        """Return the level that the header of one *line* tells, if it is known."""
        for shape, table in self._shapes.items():
            if (code := table.get(shape.row(line, masked))) != UNKNOWN:
                return _LEVELS[code]
        code = self._json.code(masked) if self._json else UNKNOWN
        return None if code == UNKNOWN else _LEVELS[code]

    def learn(self, line: bytes, masked: bytes, level: Level) -> None:
        """Remember the header of *line* if its bytes alone, digits masked, decide its *level*."""
        if not self._learn_header(line, level) and self._json:
            self._json.learn(line, masked, _NUMBER[level])

    def _learn_header(self, line: bytes, level: Level) -> bool:
        """Remember the header of *line*, and say whether it has one."""
        bare = strip(line)
        match = self._pattern.match(bare)
        if match is None or not match.lastindex or level_of(match) is not level:
            return False
        if any(
            not _is_like(match, self._pattern.match(other)) for other in (mask(bare), bare.translate(_NINES))
        ):
            return False
        shape: _Shape | None = _Shape(match.end())
        if match[1].isdigit():
            shape = _numbered(self._pattern, match, level)
        if shape is None or not shape.length < min(len(bare), LONGEST_HEADER):
            return False
        if line.startswith(bare[: shape.length]):
            row = shape.row(line, mask(line))
            table = self._shapes.get(shape) or self._shapes.setdefault(shape, Table(len(row)))
            table.put(row, _NUMBER[level])
            return True
        return False


def _is_like(match: re.Match[bytes], other: re.Match[bytes] | None) -> bool:
    """Say whether *other*, of the same line with other digits, is decided by the same bytes as *match*."""
    return other is not None and other.span() == match.span() and other.span(1) == match.span(1)


def _numbered(pattern: re.Pattern[bytes], match: re.Match[bytes], level: Level) -> _Shape | None:
    """
    Tell how much of a line decides what the number in its header means.

    The number alone where all scales agree on it. Else the line has to be pino's, which is told
    by other keys, so the header goes on to the comma behind them.
    """
    number, end = int(match[1]), match.end()
    python = of_number(number, pino=False)
    if of_number(number, pino=True) is python:
        return _Shape(end, match.span(1))
    if level is python:
        return None  # a key further on would make it pino's
    while 0 < end < LONGEST_HEADER:
        begun = pattern.match(match.string[:end])
        if begun and level_of(begun) is level:
            return _Shape(end, match.span(1))
        end = match.string.find(b",", end) + 1
    return None
