"""Lines that nobody meant well: any bytes are read, and none takes long."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.test_formats import AROUND, LEVELS, NUMBERS, PROGRAMS, cases
from watchdog.logs.formats import FORMATS, classify, detect, level_as, strip
from watchdog.logs.levels import Level
from watchdog.logs.records import Context, follow
from watchdog.logs.times import timestamp

NOW = datetime(2026, 2, 19, 1, 55, tzinfo=UTC)
LINES = [
    line.replace("\\t", "\t").encode() for _, line in cases(LEVELS + PROGRAMS[1:] + AROUND[1:] + NUMBERS[1:])
]
PIECES = [
    *(
        b"2026-02-19 01:33:50,123 | 02-19 01:33:50.123 | Feb 19 01:50:25 | 19 Feb 2026 | 01:33:50".split(
            b" | "
        )
    ),
    *(
        b"ERROR INFO error info E I Note System LOG FATA fail host unit[1]: [main] [1] 123#0: {x} -- :".split()
    ),
    *(
        b' |,| | |: |[|]|] [|{"|":"|","|"}|<11>|1 - |=|level=|"level":|"log":"|\t|/|\\|"|\\"|\xff|\x00|\xef\xbb\xbf'.split(
            b"|"
        )
    ),
    *(
        b"Traceback (most recent|goroutine 1 [x]:|at a.b(C.java:1)|Caused by|thread 'x' panicked at a:1:1:".split(
            b"|"
        )
    ),
]
ANYTHING = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))


@given(ANYTHING, st.sampled_from(sorted(FORMATS)), st.sampled_from(Context))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read(line: bytes, format: str, context: Context) -> None:
    """Whatever they are, after whatever came before."""
    level, after = follow(line, format, context)
    assert level is None or isinstance(level, Level)
    assert isinstance(after, Context)
    assert isinstance(classify(line, format), Level)
    found = timestamp(line, NOW)
    assert found is None or found.tzinfo is UTC


@given(st.lists(ANYTHING, max_size=8), st.sampled_from(sorted(FORMATS)))
@settings(max_examples=60, deadline=None)
def test_detection_is_settled(lines: list[bytes], current: str) -> None:
    """What was detected once is detected again, whatever the file was taken for before."""
    found = detect(lines, current)
    assert found in FORMATS
    assert found == detect(lines, found)


TURNS = [
    bytes((byte - 48 + by) % 10 + 48 if 48 <= byte <= 57 else byte for byte in range(256)) for by in (1, 3, 8)
]
MESSAGES = (b"X", b"x", b" ERROR", b"]", b"|", b'"', b"}")


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_a_header_decides(format: str) -> None:
    """Another message behind it or other digits in it, and the level is the same: tallying relies on that."""
    for line in (*LINES, *(line[: len(line) // 2] for line in LINES)):
        header = FORMATS[format].match(strip(line))
        if not header or not header.lastindex or header[1].isdigit() or header.end() == len(line):
            continue
        begun, rest = line[: header.end()], line[header.end() :]
        said = {level_as(format, begun + message) for message in MESSAGES}
        said |= {level_as(format, begun.translate(turn) + rest) for turn in TURNS}
        assert said == {level_as(format, line)}, begun


PUMPS = (
    b" ",
    b"a",
    b"A",
    b"0",
    b"[",
    b"]",
    b"[a] ",
    b"a=b ",
    b'"a":1,',
    b'"',
    b"\\",
    b"a.",
    b": ",
    b" - ",
    b"a-1",
    b"|",
)
SLOW = 0.06
"""Seconds of the processor's for 5,000 bytes; what is linear takes less than a hundredth of it."""


@pytest.fixture
def _no_collection() -> Iterator[None]:
    """Keep the garbage of other tests out of the time that is taken."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
@pytest.mark.parametrize("pump", PUMPS, ids=repr)
def test_no_line_takes_long(pump: bytes) -> None:
    """Every header, broken off anywhere and pumped up there."""
    tail = pump * (5_000 // len(pump))
    slow = []
    for line in [b"", *LINES]:
        for cut in range(0, min(len(line), 60) + 1, 7):
            hostile = line[:cut] + tail
            began = time.process_time()
            follow(hostile, "bare", Context.RECORD)
            timestamp(hostile, NOW)
            if time.process_time() - began > SLOW:
                slow.append(line[:cut])
    assert not slow
