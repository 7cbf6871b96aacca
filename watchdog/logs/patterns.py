"""
Named regexes of the user's, counted per line, in time that is linear in the line's length.

Lines are counted by kind where they are mostly alike but for their digits, and a pattern that no
digit matters to is asked but once for each kind. Else a block is searched for a text without which
the pattern cannot be found, or for the pattern itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Protocol

import re2

from watchdog.errors import ConditionError
from watchdog.logs.lines import BLOCK, Lines, cut

_CLASS = re.compile(r"\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]")
_PLAIN_ESCAPE = re.compile(r"\\[dDwWsSbB\W_]")
_REPEAT = r"(?:[*?]|\{[0-9]+(?:,[0-9]*)?\})"
_NOT_LITERAL = re.compile(rf"[^\n]{_REPEAT}|[.^$+*?]")
_GROUP = re.compile(rf"\([^()]*\){_REPEAT}?")
_OTHER_FLAGS = re.compile(r"\(\?[a-zA-Z]*-?[a-zA-Z]*[:)]")
_BACKTRACKS = re.compile(r"\(\?<?[=!]|\(\?>|\\[1-9]|[*+?}]\+|\(\?P=")
_REPEATED_REPEAT = re.compile(r"\((?!\?>)(?:\\.|[^()\\])*(?<![\\*+?}])(?:[*+]|,\})\)(?:[*+](?!\+)|\{\d*,\})")
_SHORTEST_LITERAL = 3
_MEANT = 0x100000  # where a sign that is escaped is put, in a plane without characters
_MOST_SEEN = 8192
_LONGEST_SEEN = 500


class _Found(Protocol):
    def start(self) -> int: ...


class _Regex(Protocol):
    """What we need of RE2, which has no types."""

    def search(self, text: bytes, pos: int = 0) -> _Found | None:
        """Find it in *text* from *pos* on."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    A regex, and what is known of it.

    Without *literal* it cannot match (empty if there is none); *is_plain* says that it is nothing
    else. *in_block* finds it in many lines at once, if it can be. *seen* remembers in which masked
    lines it was found; it is None if digits matter.
    """

    regex: _Regex
    in_block: _Regex | None
    literal: bytes
    is_plain: bool
    seen: dict[bytes, bool] | None = field(compare=False, repr=False)

    def is_in(self, line: bytes) -> bool:
        """Say whether *line* has it."""
        line = line.removesuffix(b"\r")
        if self.literal and self.literal not in line:
            return False
        return self.is_plain or self.regex.search(line) is not None


Patterns = Mapping[str, Pattern]


def compile_patterns(patterns: Mapping[str, str]) -> dict[str, Pattern]:
    """Compile *patterns*, or raise ConditionError naming the first that is bad and why."""
    return {name: _compile(name, text) for name, text in patterns.items()}


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
    block = b""
    counts = {}
    for name, pattern in patterns.items():
        if pattern.seen is not None:
            counts[name] = _count_kinds(lines.kinds(), pattern, pattern.seen)
            continue
        block = block or lines.block.removesuffix(b"\n").replace(b"\r\n", b"\n").removesuffix(b"\r")
        if pattern.literal:
            counts[name] = _count_literal(block, pattern)
        elif pattern.in_block:
            counts[name] = _count_found(block, pattern.in_block)
        else:
            counts[name] = sum(map(pattern.is_in, block.split(b"\n")))
    return counts


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
    regex, literal = _regex(name, text), _required_literal(text)
    in_block = None if _OTHER_FLAGS.search(text) or _knows_ends(text) else _regex(name, "(?m)" + text)
    seen: dict[bytes, bool] | None = {} if _is_blind_to_digits(text) else None
    return Pattern(regex, in_block, literal, _is_plain(text, literal), seen)


def _regex(name: str, text: str) -> _Regex:
    options = re2.Options()
    options.never_nl = True
    options.log_errors = False
    try:
        regex: _Regex = re2.compile(text, options)
    except re2.error as exc:
        if _BACKTRACKS.search(text):
            raise ConditionError(
                f'pattern "{name}": look-around, back-references and possessive repeats can take for ever',
                "match what stands in the line; a plain repeat is as quick here",
            ) from exc
        raise ConditionError(f'pattern "{name}": {exc.args[0].decode("utf-8", "replace")}') from exc
    return regex


def _set_apart(text: str) -> str:
    """Replace each sign that is escaped in *text* by one that means nothing to a regex."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", lambda found: chr(_MEANT + ord(found[1])), text)


def _is_plain(text: str, literal: bytes) -> bool:
    """Say whether the regex *text* is nothing but *literal*."""
    return re.sub(r"\\([^\w\s])", r"\1", text) == literal.decode()


def _knows_ends(text: str) -> bool:
    """Say whether *text* may tell the beginning or end of a block from those of a line."""
    return r"\A" in text or r"\z" in text


def _required_literal(text: str) -> bytes:
    """Find the longest run of plain characters that every match of the regex *text* contains."""
    if re.search(r"\(\?[a-zA-Z]", text):
        return b""  # flags, or a name
    rest = _CLASS.sub("\n", _set_apart(text))
    if re.search(r"\\[a-zA-Z0-9_]", _PLAIN_ESCAPE.sub("", rest)):
        return b""  # \x41, \pN, \Q
    rest = re.sub(r"\\.", "\n", rest)
    while (fewer := _GROUP.sub("\n", rest)) != rest:
        rest = fewer
    if any(sign in rest for sign in "|()"):
        return b""
    longest = max(_NOT_LITERAL.sub("\n", rest).split("\n"), key=len)
    longest = "".join(chr(ord(sign) - _MEANT) if ord(sign) >= _MEANT else sign for sign in longest)
    return longest.encode() if len(longest) >= _SHORTEST_LITERAL else b""


def _is_blind_to_digits(text: str) -> bool:
    """Say whether it makes no difference to the regex *text* which digit stands where."""
    rest = _set_apart(text)
    rest = _CLASS.sub(lambda found: "" if not re.search(r"[0-9]", found[0].replace("0-9", "")) else "0", rest)
    rest = re.sub(r"\{[0-9]+(?:,[0-9]*)?\}", "", rest)
    return not re.search(r"[0-9]|\\[a-zA-Z]", _PLAIN_ESCAPE.sub("", rest))


def _count_kinds(kinds: Mapping[bytes, int], pattern: Pattern, seen: dict[bytes, bool]) -> int:
    """Count the lines that match by their *kinds*, each of which comes so often."""
    if len(seen) > _MOST_SEEN:
        seen.clear()
    for kind in kinds.keys() - seen.keys():
        if len(kind) > _LONGEST_SEEN:
            break
        seen[kind] = pattern.is_in(kind)
    else:
        return sum(compress(kinds.values(), map(seen.__getitem__, kinds)))
    return sum(count for kind, count in kinds.items() if pattern.is_in(kind))


def _count_literal(block: bytes, pattern: Pattern) -> int:
    """Count the lines that match, looking only at those that hold the literal."""
    count = 0
    at = block.find(pattern.literal)
    while at >= 0:
        end = block.find(b"\n", at)
        end = len(block) if end < 0 else end
        if pattern.is_plain or pattern.is_in(block[block.rfind(b"\n", 0, at) + 1 : end]):
            count += 1
        at = block.find(pattern.literal, end)
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
