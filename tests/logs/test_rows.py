"""What is asked of many lines at once has the answer that each alone would get."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from watchdog.logs.lines import KEY_LENGTH, LONGEST_ROW, Lines
from watchdog.logs.rows import UNKNOWN, Table, padded, rows_at

TEXT = st.text("ab1\0\r ", max_size=20).map(str.encode)


@settings(max_examples=60, deadline=None)
@given(some=st.lists(TEXT, min_size=1, max_size=30), ending=st.sampled_from([b"", b"\n"]))
def test_lines(some: list[bytes], ending: bytes) -> None:
    """A block is split as bytes are, whether or not its last line ends."""
    block = b"\n".join(some) + ending
    if not block:
        return
    expected = block.removesuffix(b"\n").split(b"\n")
    lines = Lines(block)
    assert [lines.line(number) for number in range(len(lines))] == expected
    assert lines.masked == [re.sub(rb"[0-9]", b"0", line) for line in expected]
    assert lines.cut(np.arange(len(lines)), 3) == [line[:3] for line in lines.masked]


@settings(max_examples=60, deadline=None)
@given(some=st.lists(TEXT, min_size=1, max_size=30), length=st.integers(1, 20), raw=st.booleans())
def test_rows_of_lines(*, some: list[bytes], length: int, raw: bool) -> None:
    """A row is what a slice of the block is; behind the block it holds line ends."""
    lines = Lines(b"\n".join(some) + b"\n")
    text = (lines.block if raw else re.sub(rb"[0-9]", b"0", lines.block)) + b"\n" * LONGEST_ROW
    rows = lines.rows(lines.starts, length, raw=raw)
    assert [row.tobytes() for row in rows] == [padded(text[at : at + length]) for at in lines.starts.tolist()]


@settings(max_examples=60, deadline=None)
@given(
    known=st.dictionaries(st.binary(min_size=11, max_size=11), st.integers(0, 7), min_size=1, max_size=40),
    others=st.lists(st.binary(min_size=11, max_size=11), max_size=20),
)
def test_table(known: dict[bytes, int], others: list[bytes]) -> None:
    """Every known row is found, and none that only resembles one."""
    table = Table(11)
    for row, code in known.items():
        table.put(padded(row), code)
    asked = [*known, *others, *(row[:10] + b"\xff" for row in known)]
    text = np.frombuffer(b"".join(map(padded, asked)), np.uint8)
    found = table.find(rows_at(text, np.arange(len(asked)) * 16, 11)).tolist()
    assert found == [known.get(row, UNKNOWN) for row in asked]
    assert found == [table.get(padded(row)) for row in asked]


@settings(max_examples=60, deadline=None)
@given(
    some=st.lists(TEXT.filter(len), min_size=1, max_size=6),
    order=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    tail=st.sampled_from([b"", b"x" * 280, b"x" * 290 + b"\0", b"y" * 400]),
)
@example(some=[b"a", b"a\0"], order=[0, 1, 0], tail=b"")
def test_alike(some: list[bytes], order: list[int], tail: bytes) -> None:
    """Lines are told apart by their masked beginnings, and the last of each kind is the newest."""
    rows = [some[index % len(some)] + tail for index in order]
    keys = [re.sub(rb"[0-9]", b"0", row)[:KEY_LENGTH] for row in rows]
    lines = Lines(b"\n".join(rows))
    counts, newest = Counter[bytes](), dict[bytes, int]()
    alike = lines.alike(np.arange(len(lines)), KEY_LENGTH)
    for kind, count, number in alike.counts():
        counts[kind] += count
        newest[kind] = max(number, newest.get(kind, -1))
    assert counts == Counter(keys)
    assert newest == {key: number for number, key in enumerate(keys)}
    codes = alike.spread(list(range(len(alike.kinds)))).tolist()
    assert [alike.kinds[code] for code in codes] == [keys[number] for number in alike.numbers.tolist()]


@pytest.mark.parametrize("length", [1, 7, 8, 9, LONGEST_ROW])
def test_row_at_the_last_byte(length: int) -> None:
    """A row may begin at any byte of the block."""
    lines = Lines(b"a\nb")
    assert lines.rows(np.array([2]), length).tobytes() == padded(b"b" + b"\n" * (length - 1))
