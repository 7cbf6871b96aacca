"""
What the lines of one file begin with, and the level that it decides.

Within one file a few headers, alike but for their digits, begin almost every line. So the digits
are masked, the beginnings of all lines are cut to the same length and counted at once, and only
the lines left over need to be read one by one. Where most lines are wholly alike but for their
digits, they are counted whole, which is faster still. A header is compared with a line's
beginning, so no text inside a message is ever counted.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import itemgetter, not_
from typing import NamedTuple

from watchdog.logs.formats import FORMATS, level_of, strip
from watchdog.logs.jsonlines import JsonLines
from watchdog.logs.levels import ERRORS, Level, of_number
from watchdog.logs.lines import KEY_LENGTH, Lines, mask

LONGEST_HEADER = 400
_MOST_SHAPES = 12
_MOST_HEADERS = 500  # of one shape
_MOST_KNOWN = 8192  # whole lines
_BLOCKS_OF_VARIETY = 15  # before it is tried again
_LEVELS = tuple(Level)
_NUMBER = {level: number for number, level in enumerate(_LEVELS)}  # 3.11 is slow to hash a member
_UNKNOWN = -1
_ERRORS = frozenset(_NUMBER[level] for level in ERRORS)
_NINES = bytes(ord("9") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))
_cut_key = itemgetter(slice(KEY_LENGTH))


class _Shape(NamedTuple):
    """How long a header is, and where in it the digits stand that say its level, if they do."""

    length: int
    digits: tuple[int, int] | None = None

    def keys(self, lines: Lines, chosen: Sequence[int], masked: list[bytes]) -> list[Hashable]:
        """Cut the *masked* lines, which are those *chosen* of *lines*, to what is compared."""
        begun: Iterator[Hashable] = map(itemgetter(slice(self.length)), masked)
        if self.digits:
            lines.split()
            raw = map(lines.raw.__getitem__, chosen)
            begun = zip(begun, map(itemgetter(slice(*self.digits)), raw), strict=True)
        return list(begun)

    def key(self, line: bytes) -> Hashable:
        """Cut one raw *line* to what is compared."""
        begun = mask(line[: self.length])
        return (begun, line[slice(*self.digits)]) if self.digits else begun


@dataclass(slots=True)
class Sorted:
    """
    What the headers told of a block, and the numbers of the lines that are *left* over.

    *errors* counts the error lines, masked and cut. *newest* has the number of the last of each
    where it is known; else it is the last line of the block that, masked and cut, is the same.
    """

    by_number: list[int] = field(default_factory=lambda: [0] * len(_LEVELS))
    errors: Counter[bytes] = field(default_factory=Counter)
    newest: dict[bytes, int] = field(default_factory=dict)
    left: Sequence[int] = ()

    @property
    def levels(self) -> dict[Level, int]:
        """Return how many lines have each level."""
        return {level: count for level, count in zip(_LEVELS, self.by_number, strict=True) if count}


class Headers:
    """
    The headers of one file in *format*, learnt from the lines that were read one by one.

    With *errors_apart* an error line is always left over when lines are sorted.
    """

    def __init__(self, format: str, *, errors_apart: bool = False) -> None:
        self._not_told = _ERRORS | {_UNKNOWN} if errors_apart else frozenset({_UNKNOWN})
        self._pattern = FORMATS[format]
        self._json = JsonLines(self._pattern) if format == "json" else None
        self._shapes: dict[_Shape, dict[Hashable, int]] = {}  # the most used first
        self._known: dict[bytes, int] = {}  # whole lines, masked
        self._variety = 0  # for how many more blocks whole lines are not worth counting

    def sort(self, lines: Lines) -> Sorted:
        """Tell the levels of all of *lines* that begin with a known header."""
        if not self._shapes and not (self._json and self._json.is_any_known):
            return Sorted(left=range(len(lines.masked)))
        if self._variety or any(shape.digits for shape in self._shapes):
            self._variety -= self._variety > 0
            return self._by_headers(lines)
        if lines.are_alike():
            return self._by_kinds(lines, lines.kinds())
        self._variety = _BLOCKS_OF_VARIETY
        return self._by_headers(lines)

    def level(self, line: bytes, masked: bytes) -> Level | None:
        """Return the level that the header of one *line* tells, if it is known."""
        for shape, levels in self._shapes.items():
            key = shape.key(line) if shape.digits else masked[: shape.length]
            if key in levels:
                return _LEVELS[levels[key]]
        return self._json.level(masked) if self._json else None

    def learn(self, line: bytes, masked: bytes, level: Level) -> None:
        """Remember the header of *line* if its bytes alone, digits masked, decide its *level*."""
        if not self._learn_header(line, level) and self._json:
            self._json.learn(line, masked, level)

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
            levels = self._shapes.setdefault(shape, {})
            if len(levels) >= _MOST_HEADERS:
                levels.clear()
            levels[shape.key(line)] = _NUMBER[level]
            return True
        return False

    def _by_kinds(self, lines: Lines, kinds: Mapping[bytes, int]) -> Sorted:
        """Sort *lines*, of which *kinds* says how often each comes."""
        found = Sorted()
        others = set()
        for line, count in kinds.items():
            level = self._known.get(line, _UNKNOWN)
            if level == _UNKNOWN:
                level = self._recognise(line)
            if level in self._not_told:
                others.add(line)
                continue
            found.by_number[level] += count
            if level in _ERRORS:
                found.errors[line[:KEY_LENGTH]] += count
        if others:
            found.left = list(compress(range(len(lines.masked)), map(others.__contains__, lines.masked)))
        return found

    def _recognise(self, masked: bytes) -> int:
        """Return the number of the level that the header of one line tells, or `_UNKNOWN`."""
        levels = (known.get(masked[: shape.length], _UNKNOWN) for shape, known in self._shapes.items())
        level = next((level for level in levels if level != _UNKNOWN), _UNKNOWN)
        if level == _UNKNOWN and self._json and (told := self._json.level(masked)):
            level = _NUMBER[told]
        if level != _UNKNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[masked] = level
        return level

    def _by_headers(self, lines: Lines) -> Sorted:
        """Sort *lines* by one shape of header after the other."""
        found = Sorted(left=range(len(lines.masked)))
        masked = lines.masked
        uses: dict[_Shape, int] = {}
        for shape, levels in self._shapes.items():
            keys = shape.keys(lines, found.left, masked)
            known = {
                key: count
                for key, count in Counter(keys).items()
                if levels.get(key, _UNKNOWN) not in self._not_told
            }
            uses[shape] = used = sum(known.values())
            for key, count in known.items():
                found.by_number[levels[key]] += count
            if errors := {key for key in known if levels[key] in _ERRORS}:
                is_error = list(map(errors.__contains__, keys))
                error_keys = list(map(_cut_key, compress(masked, is_error)))
                found.errors.update(error_keys)
                if shape.digits:
                    found.newest.update(zip(error_keys, compress(found.left, is_error), strict=True))
            if used == len(masked):
                found.left = ()
                break
            if used:
                is_left = list(map(not_, map(known.__contains__, keys)))
                found.left, masked = list(compress(found.left, is_left)), list(compress(masked, is_left))
        order = sorted(self._shapes, key=lambda shape: -uses.get(shape, 0))
        self._shapes = {shape: self._shapes[shape] for shape in order[:_MOST_SHAPES]}
        return found


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
