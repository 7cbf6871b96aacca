"""
The levels of JSON lines that state them behind other keys, by what stands outside their strings.

A recogniser of JSON looks at the signs between strings, at the names of keys and at the word that
is the level, and at nothing else. So two lines that are the same in these have the same level.
"""

import re
from collections.abc import Callable
from operator import itemgetter

from watchdog.logs.lines import LONGEST_ROW, Lines
from watchdog.logs.rows import UNKNOWN, Codes, Places

_MOST_SHAPES = 200
_MOST_KNOWN = 8192  # whole lines
_ESCAPED = b"\0\0"  # as long as what it stands for
_Parts = list[bytes]


class JsonLines:
    """What has been learnt of the JSON lines of one file, recognised by *pattern*."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self._shapes: dict[bytes, tuple[Callable[[_Parts], tuple[bytes, ...]], dict[object, int]]] = {}
        self._known: dict[bytes, int] = {}  # whole lines, masked

    @property
    def is_any_known(self) -> bool:
        """Say whether anything has been learnt."""
        return bool(self._shapes)

    def tell(self, lines: Lines, numbers: Places, codes: Codes) -> None:
        """Set the *codes* of those of *lines* that have these *numbers* and are like one that is known."""
        short = numbers[lines.ends[numbers] - lines.starts[numbers] <= LONGEST_ROW]
        alike = lines.alike(short[lines.ends[short] > lines.starts[short]], LONGEST_ROW)
        codes[alike.numbers] = alike.spread([self._recall(kind) for kind in alike.kinds])
        if len(short) < len(numbers):
            for number in numbers[lines.ends[numbers] - lines.starts[numbers] > LONGEST_ROW]:
                codes[number] = self.code(lines.cut(number[None])[0])

    def _recall(self, masked: bytes) -> int:
        """Return the code of the *masked* line, which may come again."""
        code = self._known.get(masked, UNKNOWN)
        if code == UNKNOWN and (code := self.code(masked)) != UNKNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[masked] = code
        return code

    def code(self, masked: bytes) -> int:
        """Return the code of the *masked* line, or `UNKNOWN` if no line like it is known."""
        if masked[:1] != b"{" or not self._shapes:
            return UNKNOWN
        outside, parts = _split(masked)
        getter, codes = self._shapes.get(outside, _NO_SHAPE)
        return codes.get(getter(parts), UNKNOWN)

    def learn(self, line: bytes, masked: bytes, code: int) -> None:
        """Remember what tells that *line* has the level of *code*, if it is the word that it says itself."""
        outside, parts = _split(masked)
        match = self._pattern.match(line)
        if not outside.startswith(b"{") or not match or not match[1].isalpha():
            return
        place = masked.replace(b"\\\\", _ESCAPED).replace(b'\\"', _ESCAPED)[: match.start(1)].count(b'"')
        if not place % 2 or parts[place] != match[1] or _ESCAPED in outside or b"\x1b" in line:
            return
        keys = [at for at in range(1, place, 2) if parts[at + 1].lstrip()[:1] == b":"]
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        getter, codes = self._shapes.setdefault(outside, (itemgetter(*keys, place), {}))
        codes[getter(parts)] = code


def _no_words(parts: _Parts) -> tuple[bytes, ...]:  # noqa: ARG001
    return ()


_NO_SHAPE: tuple[Callable[[_Parts], tuple[bytes, ...]], dict[object, int]] = (_no_words, {})


def _split(masked: bytes) -> tuple[bytes, _Parts]:
    """Split a line at its quotes; return what stands outside of strings, and all parts."""
    if b"\\" in masked:
        masked = masked.replace(b"\\\\", _ESCAPED).replace(b'\\"', _ESCAPED)
    parts = masked.split(b'"')
    return b'"'.join(parts[::2]), parts
