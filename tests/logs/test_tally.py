"""A whole chunk is counted as its lines are one by one."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchdog.logs import FORMATS, Context, Level, Tallier, Tally, detect, follow, tally

HEADERS = (
    "2026-02-19 01:33:5{d},12{d} | {level:8} | {name} | ",
    "2026-02-19 01:33:5{d},12{d} | {level} | ",
    "2026-02-19 01:33:5{d} | {name} | {level} | ",
    "2026-02-19 01:33:5{d},12{d} - {name} - {level} - ",
    "2026-02-19 01:33:5{d} - {level} - ",
    "2026-02-19 01:33:5{d}.12{d} [{level}] ",
    "[2026-02-19 01:33:5{d}] [{name}] [{level}] ",
    "[{level}] [{name}] ",
    '{{"ts": "2026-02-19T01:33:5{d}Z", "level": "{level}", "msg": "',
    '{{"level":{d}0,"time":153117107463{d},"msg":"',
    '{{"msg": "{name}", "x": {{"level": "ERROR"}}, "level": "{level}", "y": "',
    "time=2026-02-19T01:33:5{d}Z level={level} msg=",
    "level={level}",
    "{level}:{name}:",
    "Feb 19 01:33:5{d} host unit[{d}]: 2026-02-19 01:33:5{d} | {level} | ",
    "Feb 19 01:33:5{d} host systemd[{d}]: ",
    "Traceback (most recent call last):",
    "  File ",
    "KeyError: ",
    "Caused by: ",
    "\t",
    "",
)
LEVELS = ("INFO", "ERROR", "WARNING", "DEBUG", "CRITICAL", "info", "err", "ERRORS", "")
TEXTS = (
    "x",
    " | ERROR    | y",
    '"level": "ERROR"',
    " - ERROR - ",
    "[ERROR]",
    "\r",
    "❌",
    "\0",
    "\x1b[31m",
    "1",
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Return a line of some format, with traps in its message."""
    header = draw(st.sampled_from(HEADERS)).format(
        level=draw(st.sampled_from(LEVELS)),
        name=draw(st.sampled_from(("__main__", "ERROR", "a.b", "a b"))),
        d=draw(st.integers(0, 9)),
    )
    text = "".join(draw(st.lists(st.sampled_from(TEXTS), max_size=3)))
    dress = draw(st.sampled_from(["", "", "", "", "\0\0", "\x1b[1m", "\ufeff"]))
    return (dress + header + text).encode()


def by_line(chunk: bytes, format: str) -> tuple[int, dict[Level, int], Context]:
    """Count as slowly and plainly as can be."""
    context, levels = Context.START, Counter[Level]()
    rows = chunk.removesuffix(b"\n").split(b"\n") if chunk else []
    for line in rows:
        level, context = follow(line, format, context)
        if level is not None:
            levels[level] += 1
    return len(rows), dict(levels), context


@settings(max_examples=150, deadline=None)
@given(
    some=st.lists(lines(), min_size=1, max_size=12),
    order=st.lists(st.integers(0, 11), min_size=1, max_size=60),
    format=st.sampled_from([*FORMATS, None]),
    block=st.sampled_from([200, 1000, 1 << 16]),
    whole=st.booleans(),
)
def test_chunk_equals_line_by_line(
    some: list[bytes], order: list[int], format: str | None, block: int, whole: bool
) -> None:
    """However lines are mixed, the fast way and the plain way agree."""
    chunk = b"\n".join(some[index % len(some)] for index in order) + (b"\n" if whole else b"")
    if not chunk:
        return
    name = format or detect(chunk.split(b"\n"))
    tallier = Tallier(name, block=block, small=0)
    for _ in range(2):  # the second time its headers are known
        tallier.context = Context.START
        found = tallier.count(chunk)
        assert by_line(chunk, name) == (found.lines, dict(found.levels), tallier.context)
    assert found.records == sum(found.levels.values())


@settings(max_examples=100, deadline=None)
@given(junk=st.binary(max_size=3000), format=st.sampled_from(list(FORMATS)))
def test_junk_is_counted(junk: bytes, format: str) -> None:
    """No bytes raise an error, and every line of them counts."""
    assert tally(junk * 3, format).lines == by_line(junk * 3, format)[0]


@settings(max_examples=50, deadline=None)
@given(some=st.lists(lines(), min_size=2, max_size=30), at=st.integers(1, 29))
def test_chunks_add_up(some: list[bytes], at: int) -> None:
    """Where a file is cut between two lines makes no difference."""
    whole = b"\n".join(some) + b"\n"
    cut = len(b"\n".join(some[:at])) + 1
    tallier = Tallier("pipe")
    parts = tallier.count(whole[:cut]) + tallier.count(whole[cut:])
    assert by_line(whole, "pipe") == (parts.lines, dict(parts.levels), tallier.context)


def line(level: str, text: str) -> bytes:
    """Return one line of a service's log."""
    return f"2026-02-19 01:33:50,123 | {level:8} | __main__ | {text}\n".encode()


TRACEBACK = b'Traceback (most recent call last):\n  File "x.py"\nKeyError: 1\n'


def test_counts() -> None:
    """Lines, records and levels of a small file."""
    chunk = line("INFO", "a") + line("ERROR", "b") + TRACEBACK + b"====\n" + line("CRITICAL", "c")
    found = tally(chunk, "pipe")
    assert found == Tally(
        lines=7,
        records=4,
        levels={Level.INFO: 1, Level.ERROR: 1, Level.NONE: 1, Level.CRITICAL: 1},
        last_error=line("CRITICAL", "c").rstrip(),
        samples={
            b"0000-00-00 00:00:00,000 | ERROR    | __main__ | b": line("ERROR", "b").rstrip(),
            b"0000-00-00 00:00:00,000 | CRITICAL | __main__ | c": line("CRITICAL", "c").rstrip(),
        },
    )
    assert found.errors == 2


@pytest.mark.parametrize("times", [1, 100], ids=["line by line", "by headers"])
def test_last_error_and_its_exception(times: int) -> None:
    """The evidence is the last error line, with what its traceback ended in."""
    chunk = (line("ERROR", "a") + line("INFO", "b")) * times
    assert tally(chunk, "pipe").last_error == line("ERROR", "a").rstrip()
    chunk += line("ERROR", "c") + TRACEBACK + line("INFO", "d")
    assert tally(chunk, "pipe").last_error == line("ERROR", "c").rstrip() + b" | KeyError: 1"
    assert tally(chunk + TRACEBACK, "pipe").last_error == b"KeyError: 1"


def test_samples_differ_by_more_than_digits() -> None:
    """A thousand errors of one kind are one sample."""
    chunk = b"".join(line("ERROR", f"order {number} refused") for number in range(1000, 2000))
    assert len(tally(chunk + line("ERROR", "other"), "pipe").samples) == 2


def test_many_loggers() -> None:
    """More headers than are remembered are still counted exactly."""
    rows = [
        f"2026-02-19 01:33:50,123 - logger.{chr(97 + number % 25)} - {level} - x\n".encode()
        for number in range(5000)
        for level in ("INFO", "ERROR")
    ]
    assert tally(b"".join(rows), "dash").levels == {Level.INFO: 5000, Level.ERROR: 5000}
