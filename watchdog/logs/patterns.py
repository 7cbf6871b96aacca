"""
Named regexes of the user's, counted per line, in time that is linear in the line's length.

Most lines are alike but for their digits. So all patterns are asked at once what they say to a line
without regard to its digits, and the answer is remembered. What is not remembered is searched as a
block, and so is a pattern that digits matter to, but only where one of its lines may be.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress, islice, repeat
from typing import Any, Protocol, cast

from watchdog.errors import ConditionError
from watchdog.later import later
from watchdog.logs.lines import BLOCK, Lines, cut, mask
from watchdog.logs.regexes import (
    deciding_literal,
    is_blind_to_digits,
    is_for_one_line,
    is_plain,
    loosen,
    required_literal,
)

re2 = later("re2")  # 2 MB with its C++ library
_BACKTRACKS = re.compile(r"\(\?<?[=!]|\(\?>|\\[1-9]|[*+?}]\+|\(\?P=")
_REPEATED_REPEAT = re.compile(r"\((?!\?>)(?:\\.|[^()\\])*(?<![\\*+?}])(?:[*+]|,\})\)(?:[*+](?!\+)|\{\d*,\})")
_MOST_KNOWN = 8192
_LONGEST_KNOWN = 500
_LEARNED_ANYWAY = 16
_UNKNOWN, _FOUND, _OPEN = -1, 1, 2  # answers
_DENSE = 800  # bytes for each time a literal is there, below which it is no help in finding the regex


@cache
def _options() -> Any:
    options = re2.Options()
    options.never_nl = True
    options.log_errors = False
    return options


class _Found(Protocol):
    def start(self) -> int: ...


class _Regex(Protocol):
    """What we need of RE2, which has no types."""

    def search(self, text: bytes, pos: int = 0) -> _Found | None:
        """Find it in *text* from *pos* on."""


class _Set(Protocol):
    def Match(self, text: bytes) -> list[int] | None: ...  # noqa: N802


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    A regex, and what is known of it.

    Without *literal* it cannot match (empty if there is none); *is_plain* says that it is nothing
    else. *in_block* finds it in many lines at once, if it can be. *loose* is found in a masked line
    if the regex is in the line, and if *is_blind* only then, since no digit matters to it; if the
    digits of one literal alone matter, that is *deciding*.
    """

    regex: _Regex
    in_block: _Regex | None
    literal: bytes
    is_plain: bool
    loose: str
    is_blind: bool
    deciding: bytes

    def is_in(self, line: bytes) -> bool:
        """Say whether *line* has it."""
        if self.literal and self.literal not in line:
            return False
        return self.is_plain or self.regex.search(line.removesuffix(b"\r")) is not None

    def count(self, block: bytes) -> int:
        """Count the lines of *block* that have it; there is at least one, and no CRLF."""
        if self.is_plain:
            return _count_plain(block, self.literal)
        if self.literal and not (literals := block.count(self.literal)):
            return 0
        if self.literal and (literals * _DENSE < len(block) or not self.in_block):
            return _count_literal(block, self.literal, self.regex)
        if self.in_block:
            return _count_found(block, self.in_block)
        return sum(1 for line in block.split(b"\n") if self.regex.search(line))


Patterns = Mapping[str, Pattern]


def compile_patterns(patterns: Mapping[str, str]) -> dict[str, Pattern]:
    """Compile *patterns*, or raise ConditionError naming the first that is bad and why."""
    return _Compiled({name: _compile(name, text) for name, text in patterns.items()})


def count_matches(chunk: bytes, patterns: Patterns) -> dict[str, int]:
    """Count for each of *patterns* the lines of *chunk* in which it is found."""
    counts = dict.fromkeys(patterns, 0)
    if b"\n" not in chunk:
        return {name: int(bool(chunk) and pattern.is_in(chunk)) for name, pattern in patterns.items()}
    for block in cut(chunk, BLOCK):
        for name, count in count_in(Lines(block), patterns).items():
            counts[name] += count
    return counts


def count_in(lines: Lines, patterns: Patterns) -> dict[str, int]:
    """Count for each of *patterns* the *lines* in which it is found."""
    compiled = patterns if isinstance(patterns, _Compiled) else _Compiled(patterns)
    answers, unknown = compiled.ask(lines.masked)
    rest = _block(b"\n".join(unknown))
    block = b""
    counts = dict.fromkeys(patterns, 0)
    for place, (name, pattern) in enumerate(patterns.items()):
        found = answers.having(_FOUND << 2 * place)
        if pattern.is_blind:
            counts[name] = found + (pattern.count(rest) if unknown else 0)
        elif pattern.deciding and not unknown and not answers.having(_OPEN << 2 * place):
            counts[name] = lines.block.count(pattern.deciding) if found else 0
        elif found or unknown:
            block = block or _block(lines.block)
            counts[name] = pattern.count(block)
    return counts


class _Answers(Counter[int]):
    """
    How many lines have which answer.

    Each pattern has two bits of an answer: whether it is found, loosely read, and whether it is open
    that it is there if its deciding literal is, and only then.
    """

    def having(self, bit: int) -> int:
        """Count the lines whose answer has *bit*."""
        return sum(count for answer, count in self.items() if answer & bit)


class _Compiled(dict[str, Pattern]):
    """Patterns, and what they answered to the masked lines of late."""

    def __init__(self, patterns: Patterns) -> None:
        super().__init__(patterns)
        self._known: dict[bytes, int] = {}
        loose = ["", *(pattern.loose for pattern in self.values())]
        self._regexes = [re2.compile(text, _options()) for text in loose]
        self._set = _set_of(loose)

    def ask(self, lines: Sequence[bytes]) -> tuple[_Answers, list[bytes]]:
        """Count the answers to masked *lines*; return also those to which none is known."""
        answers, left = self._look_up(lines)
        if left:
            kinds = dict.fromkeys(left)
            self._learn(kinds, len(lines) - len(kinds) + _LEARNED_ANYWAY)
            learned, left = self._look_up(left)
            answers.update(learned)
        return answers, left

    def _look_up(self, lines: Sequence[bytes]) -> tuple[_Answers, list[bytes]]:
        known = list(map(self._known.get, lines, repeat(_UNKNOWN)))
        answers = _Answers(known)
        left = answers.pop(_UNKNOWN, 0)
        return answers, list(compress(lines, map(_UNKNOWN.__eq__, known))) if left else []

    def _learn(self, kinds: Iterable[bytes], most: int) -> None:
        """Remember the answers to the first of *kinds*: as many as there were lines that are alike."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        for kind in islice(kinds, most):
            if len(kind) <= _LONGEST_KNOWN:
                self._known[kind] = self._answer(kind.removesuffix(b"\r"))

    def _answer(self, line: bytes) -> int:
        found = self._set.Match(line) if self._set else None
        if not found:  # not even the first, which is in every line: all together are too much for RE2
            found = [number for number, regex in enumerate(self._regexes) if regex.search(line)]
        answer = 0
        for place, pattern in enumerate(self.values()):
            is_found = place + 1 in found
            answer |= is_found * _FOUND << 2 * place
            if pattern.deciding:
                answer |= _is_open(line, mask(pattern.deciding), is_found) * _OPEN << 2 * place
        return answer


def check_backtracking(name: str, text: str) -> None:
    """Raise ConditionError if *text* is no regex of Python's, or one that can take for ever."""
    try:
        re.compile(text)
    except re.error as exc:
        raise ConditionError(f'pattern "{name}": {exc}') from exc
    if _REPEATED_REPEAT.search(text):
        raise ConditionError(
            f'pattern "{name}": a repeat of a repeat can take for ever on one long line',
            "make the inner one possessive, as in (a++)+",
        )


def _compile(name: str, text: str) -> Pattern:
    loose = _loose(text)
    return Pattern(
        _regex(name, text),
        None if is_for_one_line(text) else _regex(name, "(?m)" + text),
        required_literal(text),
        is_plain(text),
        loose,
        loose == text and is_blind_to_digits(text),
        deciding_literal(text) if loose else b"",
    )


def _loose(text: str) -> str:
    """Loosen the regex *text*, unless it becomes too large by that."""
    loose = loosen(text)
    try:
        re2.compile(loose, _options())
    except re2.error:
        return ""
    return loose


def _regex(name: str, text: str) -> _Regex:
    try:
        regex: _Regex = re2.compile(text, _options())
    except re2.error as exc:
        if _BACKTRACKS.search(text):
            raise ConditionError(
                f'pattern "{name}": look-around, back-references and possessive repeats can take for ever',
                "match what stands in the line; a plain repeat is as quick here",
            ) from exc
        raise ConditionError(f'pattern "{name}": {exc.args[0].decode("utf-8", "replace")}') from exc
    return regex


def _set_of(texts: Iterable[str]) -> _Set | None:
    """Compile regexes that are looked for at once, unless they are too much together."""
    regexes = re2.Set.SearchSet(_options())
    try:
        for text in texts:
            regexes.Add(text)
        regexes.Compile()
    except re2.error:
        return None
    return cast("_Set", regexes)


def _is_open(line: bytes, literal: bytes, is_found: bool) -> bool:
    """Say whether it takes more than a look for *literal* to decide whether *line* has a pattern."""
    at = line.find(literal)
    return at >= 0 and not (is_found and line.find(literal, at + 1) < 0)


def _block(text: bytes) -> bytes:
    """Return lines without their CR and without the end of the last."""
    return text.removesuffix(b"\n").replace(b"\r\n", b"\n").removesuffix(b"\r")


def _count_plain(block: bytes, literal: bytes) -> int:
    """Count the lines that hold *literal*."""
    pieces = block.split(literal)
    return min(len(pieces) - 1, 1 + sum([1 for piece in pieces[1:-1] if b"\n" in piece]))


def _count_literal(block: bytes, literal: bytes, regex: _Regex) -> int:
    """Count the lines that match, looking only at those that hold *literal*."""
    count = 0
    at = block.find(literal)
    while at >= 0:
        end = block.find(b"\n", at)
        end = len(block) if end < 0 else end
        if regex.search(block[block.rfind(b"\n", 0, at) + 1 : end]):
            count += 1
        at = block.find(literal, end)
    return count


def _count_found(block: bytes, regex: _Regex) -> int:
    """Count the lines in which *regex* is found; no match of it goes beyond its line."""
    count, at = 0, 0
    while found := regex.search(block, at):
        count += 1
        at = block.find(b"\n", found.start()) + 1
        if not at:
            break
    return count
