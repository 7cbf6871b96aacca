"""Named regexes, counted per line."""

import re
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchdog.errors import ConditionError
from watchdog.logs import compile_patterns, count_matches

CHUNK = "🚫 TERMINAL STATE: FAILED | a\nexecuted=False, executed=False\nok\n\nTERMINAL STATE: FAILED\r\n"

COUNTS = r"""
2 | TERMINAL STATE: FAILED
1 | executed=(False|false)
1 | 🚫
1 | ^🚫 .{8} STATE
2 | FAILED( \| a)?$
1 | ^ok$
1 | ^$
2 | (?i)terminal
2 | TERMINAL\sSTATE.*FAILED
3 | [a-z]+
0 | FAILED\s+executed
"""


@pytest.mark.parametrize("row", COUNTS.strip().splitlines())
def test_counts(row: str) -> None:
    """`lines | regex`: a line counts once, and no match goes beyond its line."""
    expected, _, regex = row.partition(" | ")
    assert count_matches(CHUNK.encode(), compile_patterns({"it": regex})) == {"it": int(expected)}


BAD = r"""
( | pattern "it": missing ): (
*a | pattern "it": no argument for repetition operator: *
a{2000} | pattern "it": invalid repetition size: {2000}
(?=a)b | pattern "it": look-around, back-references and possessive repeats can take for ever (match what stands in the line; a plain repeat is as quick here)
(a)\1 | pattern "it": look-around, back-references and possessive repeats can take for ever (match what stands in the line; a plain repeat is as quick here)
(a++)+ | pattern "it": look-around, back-references and possessive repeats can take for ever (match what stands in the line; a plain repeat is as quick here)
"""


@pytest.mark.parametrize("row", BAD.strip().splitlines())
def test_bad_regex(row: str) -> None:
    """`regex | error`: one sentence, which names the pattern."""
    regex, _, expected = row.partition(" | ")
    with pytest.raises(ConditionError) as caught:
        compile_patterns({"fine": "a", "it": regex})
    assert expected == str(caught.value)


def test_no_line_takes_long() -> None:
    """What a backtracking engine needs minutes for is told at once."""
    patterns = compile_patterns({"it": "(a+)+$", "other": "(?:a|aa)*b"})
    line = b"a" * 30_000 + b"!\n"
    began = process_time()
    assert count_matches(line * 2, patterns) == {"it": 0, "other": 0}
    assert process_time() - began < 1


PIECES = [
    "abc",
    "ab",
    "x",
    ".",
    "c?",
    "b*",
    "d+",
    "[xyz]",
    r"[\]x]",
    r"\[",
    r"\{?",
    "1",
    "[2-9]",
    r"\d",
    r"\.",
    "^",
    "$",
    "a{2}",
    "(abc)?",
    "xyz|abc",
    "{",
]


@settings(max_examples=200, deadline=None)
@given(
    regex=st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join),
    lines=st.lists(
        st.lists(st.sampled_from(["abc", "xyz", "d", "1.", "7", "aa", "{", "[", "]"])).map("".join),
        max_size=8,
    ),
)
def test_counting_equals_searching_every_line(regex: str, lines: list[str]) -> None:
    """The short cut by a literal never changes a count."""
    try:
        patterns = compile_patterns({"it": regex})
    except ConditionError:
        return
    expected = sum(1 for line in lines if re.search(regex, line))
    assert {"it": expected} == count_matches("".join(line + "\n" for line in lines).encode(), patterns)
