"""Named regexes, counted per line."""

import re
from itertools import cycle
from time import process_time

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from watchdog.errors import ConditionError
from watchdog.logs.patterns import compile_patterns, count_matches

CHUNK = "🚫 TERMINAL STATE: FAILED | a\nexecuted=False, executed=False\nok\n\nTERMINAL STATE: FAILED\r\n"

COUNTS = r"""
2 | TERMINAL STATE: FAILED
1 | executed=(False|false)
2 | T[A-Z]{3}I
1 | \w{6}$
1 | 🚫
1 | ^🚫 .{8} STATE
2 | FAILED( \| a)?$
1 | ^ok$
1 | ^$
2 | (?i)terminal
2 | TERMINAL\sSTATE.*FAILED
3 | [a-z]+
5 | (|ok)
0 | FAILED\s+executed
0 | (?s)FAILED.executed
0 | a(\C|5)executed
2 | (?i:failed)
1 | (?-m:^(ok|5)$)
1 | \A(ok|5)\z
"""


@pytest.mark.parametrize("row", COUNTS.strip().splitlines())
def test_counts(row: str) -> None:
    """`lines | regex`: a line counts once, and no match goes beyond its line."""
    expected, regex = row.split(" | ", 1)
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


@settings(max_examples=100, deadline=None)
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


DIGITS = r"""
 seen before      | then             | regex
 code=5000 a      | code=5030 a      | code=503
 code=5030 a      | code=5000 a      | code=503
 a 4123           | a 1234           | ^a 123
 a 1234           | a 4123           | ^a 123
 123 a 999        | 999 a 123        | ^123
 1234             | 4123             | ^123
 status=200       | status=502       | status=(500|502)
 at 12 of 3       | at 17 of 3       | at 1[5-9] of \d
 at 17 of 3       | at 12 of 3       | at 1[5-9] of \d
 1                | 5                | [.-0-9]
 a1               | aa               | \x61\x31
 a10              | a17              | (?i)A17
 took 9 ms        | took 10 ms       | took \d{2,} ms
 (1)              | (2)              | \(2\)
 7 7              | 7 8              | (7 )?8
 xx               | x7               | x[^1-9]
"""


@pytest.mark.parametrize("row", DIGITS.strip().splitlines()[1:])
def test_what_is_known_of_a_line_says_nothing_of_other_digits(row: str) -> None:
    """A line that is like one seen before but for its digits counts as it alone would."""
    *lines, regex = re.split(r" +\| ", row.strip(), maxsplit=2)
    patterns = compile_patterns({"it": regex})
    for line in [*lines, *lines]:
        assert {"it": bool(re2.search(regex, line)) * 3} == count_matches(f"{line}\n".encode() * 3, patterns)


ANY_PIECES = [
    *PIECES,
    r"\b",
    r"\B",
    r"\w+",
    r"\s",
    "^abc",
    "x$",
    "5",
    "1.",
    "[^0-9]",
    "[^5]",
    "[1-5]",
    "[x0-9]",
    "a?",
]
ANY_PIECES += [
    "é",
    ".",
    r"\W",
    "(?:7|x)",
    "(1|5|abc)",
    "[0-9]{2}",
    r"\A",
    r"\z",
    r"\x35",
    r"\p{Nd}",
    r"\C",
    "(x5)?",
    "|",
]
BYTES = [
    b"abc",
    b"xyz",
    b"d",
    b"1.",
    b"7",
    b"15",
    b"51",
    b"aa",
    b" ",
    b"\xc3\xa9",
    b"\xc3",
    b"\xff",
    b"\0",
    b"\r",
    b"{",
]


@settings(max_examples=200, deadline=None)
@given(
    regexes=st.lists(
        st.tuples(
            st.sampled_from(["", "", "(?i)", "(?s)", "(?m)"]),
            st.lists(st.sampled_from(ANY_PIECES), min_size=1, max_size=5).map("".join),
        ).map("".join),
        min_size=1,
        max_size=3,
    ),
    lines=st.lists(st.lists(st.sampled_from(BYTES), max_size=6).map(b"".join), min_size=1, max_size=8),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=1, max_size=3),
    others=st.permutations(b"0123456789").map(bytes),
    times=st.sampled_from([1, 20]),
)
def test_many_patterns_of_many_lines_equal_each_of_each(
    regexes: list[str], lines: list[bytes], ends: list[bytes], others: bytes, times: int
) -> None:
    """No short cut changes a count: not with broken UTF-8, CRLF, anchors, flags, nor when lines come again."""
    try:
        patterns = compile_patterns({str(number): regex for number, regex in enumerate(regexes)})
    except ConditionError:
        return
    chunk = b"".join(line + end for line, end in zip(lines, cycle(ends), strict=False)) * times
    for seen in chunk, chunk.translate(bytes.maketrans(b"0123456789", others)), chunk:
        assert count_matches(seen, patterns) == {
            str(number): _lines_with(regex, seen) for number, regex in enumerate(regexes)
        }


def _lines_with(regex: str, chunk: bytes) -> int:
    options = re2.Options()
    options.never_nl = True
    found = re2.compile(regex, options).search
    return sum(1 for line in chunk.removesuffix(b"\n").split(b"\n") if found(line.removesuffix(b"\r")))


def test_what_is_too_much_for_one_set() -> None:
    """Patterns that RE2 does not take together are asked one by one."""
    patterns = compile_patterns({f"p{number}": rf"\pL{{200}}{number}$" for number in range(2)})
    lines = "ä" * 200 + "1\n" + "ä" * 190 + "0\n" + "x\n"
    assert count_matches((lines * 3).encode(), patterns) == {"p0": 0, "p1": 3}


def test_more_kinds_than_are_remembered() -> None:
    """Where no line is like another, all are counted nevertheless."""
    patterns = compile_patterns(
        {"it": "line [a-p]+ of 5", "x": "b$", "plain": "aaa", "absent": "nowhere", "long": "y{400}"}
    )
    names = [
        f"{number:06x}".translate(str.maketrans("0123456789abcdef", "abcdefghijklmnop"))
        for number in range(30_000)
    ]
    text = "".join(f"line {name} of {number % 10}{'b' * (number % 3)}\n" for number, name in enumerate(names))
    text += ("y" * 600 + "\n") * 3
    expected = {
        "it": 3000,
        "x": 20_000,
        "plain": sum("aaa" in name for name in names),
        "absent": 0,
        "long": 3,
    }
    assert expected == count_matches(text.encode(), patterns) == count_matches(text.encode(), patterns)
