"""Named regexes of the user's, counted per line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from watchdog.errors import ConditionError

LONGEST_LINE = 1 << 14  # characters of a line that a pattern sees

_ATOM = r"(?:\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|.)"
_NOT_LITERAL = re.compile(rf"{_ATOM}(?:[*?]|\{{[^}}]*\}})|\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|[.^$+*?{{]")
_REPEATED_REPEAT = re.compile(r"\((?!\?>)(?:\\.|[^()\\])*(?<![\\*+?}])(?:[*+]|,\})\)(?:[*+](?!\+)|\{\d*,\})")
_SHORTEST_LITERAL = 3


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regex, and a text without which it cannot match (empty if there is none)."""

    regex: re.Pattern[str]
    literal: bytes


Patterns = Mapping[str, Pattern]


def compile_patterns(patterns: Mapping[str, str]) -> dict[str, Pattern]:
    """Compile *patterns*, or raise ConditionError naming the first that is bad and where."""
    return {name: _compile(name, text) for name, text in patterns.items()}


def count_matches(chunk: bytes, patterns: Patterns) -> dict[str, int]:
    """Count for each of *patterns* the lines of *chunk* in which it is found."""
    lines: list[str] | None = None
    counts = {}
    for name, pattern in patterns.items():
        if pattern.literal:
            counts[name] = _count_where(chunk, pattern)
            continue
        if lines is None:
            lines = [_text(line) for line in chunk.removesuffix(b"\n").split(b"\n")] if chunk else []
        counts[name] = sum(1 for line in lines if pattern.regex.search(line))
    return counts


def _compile(name: str, text: str) -> Pattern:
    try:
        regex = re.compile(text)
    except re.error as exc:
        raise ConditionError(f'pattern "{name}": {exc}') from exc
    if _REPEATED_REPEAT.search(text):
        raise ConditionError(
            f'pattern "{name}": a repeat of a repeat can take for ever on one long line',
            "make the inner one possessive, as in (a++)+",
        )
    return Pattern(regex, _required_literal(text))


def _required_literal(text: str) -> bytes:
    """Find the longest run of plain characters that every match of the regex *text* contains."""
    if any(sign in text for sign in "|("):
        return b""
    pieces = _NOT_LITERAL.sub("\n", text).split("\n")
    longest = max(pieces, key=len)
    return longest.encode() if len(longest) >= _SHORTEST_LITERAL else b""


def _count_where(chunk: bytes, pattern: Pattern) -> int:
    """Count the lines that match, looking only at those that hold the literal."""
    count = 0
    at = chunk.find(pattern.literal)
    while at >= 0:
        start = chunk.rfind(b"\n", 0, at) + 1
        end = chunk.find(b"\n", at)
        end = len(chunk) if end < 0 else end
        if pattern.regex.search(_text(chunk[start:end])):
            count += 1
        at = chunk.find(pattern.literal, end)
    return count


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")[:LONGEST_LINE]
