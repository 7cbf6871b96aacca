"""A whole chunk is counted as its lines are one by one."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchdog.logs.errorlines import ErrorLine
from watchdog.logs.formats import FORMATS, detect
from watchdog.logs.levels import ERRORS, Level
from watchdog.logs.records import Context, follow
from watchdog.logs.tally import Tallier, Tally, tally

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
    '{{"level":{d}0,"msg":"',
    '{{"level":{d},"hostname":"{name}","msg":"',
    '{{"level":{d}0,"pid":{d},"hostname":"{name}","msg":"',
    "<{d}>Feb 19 01:33:50 host unit[1]: ",
    "<1{d}>Feb 19 01:33:50 host unit[{d}]: {level}: ",
    '{{"msg": "{name}", "x": {{"level": "ERROR"}}, "level": "{level}", "y": "',
    '{{"msg": "{name}", "logger": "\\"level\\": \\"ERROR\\"", "level": "{level}"}}',
    '{{"msg": \\"{name}", "level": "{level}"}}',
    '{{"level": null, "a": [{d}, "level"], "severity": "{level}"}}',
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


def by_line(chunk: bytes, format: str) -> tuple[int, dict[Level, int], Context, Counter[bytes]]:
    """Count as slowly and plainly as can be: lines, levels, context, error lines."""
    context, levels, errors = Context.START, Counter[Level](), Counter[bytes]()
    rows = chunk.removesuffix(b"\n").split(b"\n") if chunk else []
    for line in rows:
        level, context = follow(line, format, context)
        if level is not None:
            levels[level] += 1
            if level in ERRORS:
                errors[re.sub(rb"[0-9]", b"0", line)[:300]] += 1
    return len(rows), dict(levels), context, errors


def numbers(found: Tally) -> dict[bytes, int]:
    """Return how often each error line came."""
    return {key: line.count for key, line in found.error_lines.items()}


@settings(max_examples=100, deadline=None)
@given(
    some=st.lists(lines(), min_size=1, max_size=12),
    order=st.lists(st.integers(0, 11), min_size=1, max_size=60),
    format=st.sampled_from([*FORMATS, None]),
    block=st.sampled_from([200, 1000, 1 << 16]),
    whole=st.booleans(),
    ending=st.sampled_from([b"\n", b"\n", b"\r\n"]),
)
def test_chunk_equals_line_by_line(
    *, some: list[bytes], order: list[int], format: str | None, block: int, whole: bool, ending: bytes
) -> None:
    """However lines are mixed, the fast way and the plain way agree."""
    chunk = ending.join(some[index % len(some)] for index in order) + (ending if whole else b"")
    if not chunk:
        return
    name = format or detect(chunk.split(b"\n"))
    tallier = Tallier(name, block=block, small=0)
    picky = Tallier(name, block=block, small=0, ignored=lambda line: line[-1:] == b"x")
    expected = by_line(chunk, name)
    for _ in range(2):  # the second time its headers are known
        tallier.context = picky.context = Context.START
        found, heard = tallier.count(chunk), picky.count(chunk)
        assert expected == (found.lines, dict(found.levels), tallier.context, numbers(found))
        assert expected[:3] == (heard.lines, dict(heard.levels), picky.context)
        unheard = {key: count for key, count in expected[3].items() if key.endswith(b"x") and len(key) < 300}
        assert sum(unheard.values()) == heard.ignored == found.errors - heard.errors
        assert expected[3] - Counter(unheard) == Counter(numbers(heard))
    assert found.records == sum(found.levels.values())


@settings(max_examples=40, deadline=None)
@given(
    some=st.lists(lines(), min_size=1, max_size=8),
    order=st.lists(st.integers(0, 7), min_size=1, max_size=40),
    format=st.sampled_from(list(FORMATS)),
)
def test_newest_error_line_is_shown(some: list[bytes], order: list[int], format: str) -> None:
    """Of each kind of error line the last is the example, or one that ended in an exception."""
    rows = [some[index % len(some)] for index in order]
    newest = {}
    context = Context.START
    for row in rows:
        level, context = follow(row, format, context)
        if level in ERRORS:
            newest[re.sub(rb"[0-9]", b"0", row)[:300]] = row
    tallier = Tallier(format, block=500, small=0)
    chunk = b"\n".join(rows) + b"\n"
    tallier.count(chunk)
    tallier.context = Context.START
    shown = {key: line.sample for key, line in tallier.count(chunk).error_lines.items()}
    assert newest.keys() == shown.keys()
    for key, sample in shown.items():
        assert sample == newest[key] or b" | " in sample


@settings(max_examples=100, deadline=None)
@given(junk=st.binary(max_size=3000), format=st.sampled_from(list(FORMATS)))
def test_junk_is_counted(junk: bytes, format: str) -> None:
    """No bytes raise an error, and every line of them counts."""
    assert tally(junk * 3, format).lines == by_line(junk * 3, format)[0]


PIPE = "2026-02-19 01:33:50,123 | {level} | x"
NUMBER = '{{"level":{level},"time":1531171074631,"msg":"x"}}'
LAST = '{{"msg":"{text}","level":"{level}"}}'


@pytest.mark.parametrize(
    ("format", "rows"),
    [
        ("pipe", [PIPE.format(level="INFO"), PIPE.format(level="INFO")[:31]]),
        ("pipe", [PIPE.format(level="ERROR"), PIPE.format(level="ERROR")[:33] + "\0"]),
        ("pipe", [PIPE.format(level="ERROR"), ""]),
        ("logfmt", ["level=error x", "level=error", "level=error\0"]),
        ("json", [NUMBER.format(level=50), NUMBER.format(level=30), NUMBER.format(level=50)[:11]]),
        ("json", [LAST.format(level="ERROR", text="x" * 600), LAST.format(level="INFO", text="y" * 600)]),
        ("json", [LAST.format(level="ERROR", text="x"), LAST.format(level="ERROR", text='\\"level'), ""]),
    ],
    ids=[
        "cut in its header",
        "NUL",
        "empty",
        "logfmt",
        "number",
        "longer than what is compared at once",
        "escapes",
    ],
)
@pytest.mark.parametrize("ending", ["", "\n"], ids=["open end", "line end"])
def test_last_line_of_a_block(format: str, rows: list[str], ending: str) -> None:
    """Lines at the end of what is compared at once are not taken for what they only begin like."""
    tallier = Tallier(format, small=0)
    tallier.count(("\n".join(rows * 3) + "\n").encode())
    for last in rows:
        tallier.context = Context.START
        chunk = ("\n".join([*rows, *rows, last]) + ending).encode()
        found = tallier.count(chunk)
        assert by_line(chunk, format) == (found.lines, dict(found.levels), tallier.context, numbers(found))


def test_exceptions_of_equal_lines_with_other_levels() -> None:
    """A number is masked in an error line, yet an info line's traceback explains no error."""
    error, info = (NUMBER.format(level=level).encode() + b"\n" for level in (50, 30))
    tallier = Tallier("json", small=0)
    tallier.count(error + info + error)
    found = tallier.count(error + TRACEBACK + (info + TRACEBACK.replace(b"Key", b"Value")) * 2)
    assert [line.sample for line in found.error_lines.values()] == [error.rstrip() + b" | KeyError: 1"]
    assert found.last_error == b"ValueError: 1"


@settings(max_examples=50, deadline=None)
@given(some=st.lists(lines(), min_size=2, max_size=30), at=st.integers(1, 29))
def test_chunks_add_up(some: list[bytes], at: int) -> None:
    """Where a file is cut between two lines makes no difference."""
    whole = b"\n".join(some) + b"\n"
    cut = len(b"\n".join(some[:at])) + 1
    tallier = Tallier("pipe")
    parts = tallier.count(whole[:cut]) + tallier.count(whole[cut:])
    assert by_line(whole, "pipe") == (parts.lines, dict(parts.levels), tallier.context, numbers(parts))


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
        error_lines={
            b"0000-00-00 00:00:00,000 | ERROR    | __main__ | b": ErrorLine(
                1, line("ERROR", "b").rstrip() + b" | KeyError: 1"
            ),
            b"0000-00-00 00:00:00,000 | CRITICAL | __main__ | c": ErrorLine(
                1, line("CRITICAL", "c").rstrip()
            ),
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
    assert len(tally(chunk + line("ERROR", "other"), "pipe").error_lines) == 2


def test_many_loggers() -> None:
    """More headers than are remembered are still counted exactly."""
    rows = [
        f"2026-02-19 01:33:50,123 - logger.{chr(97 + number % 25)} - {level} - x\n".encode()
        for number in range(5000)
        for level in ("INFO", "ERROR")
    ]
    assert tally(b"".join(rows), "dash").levels == {Level.INFO: 5000, Level.ERROR: 5000}


def test_too_many_kinds_of_errors_are_still_counted() -> None:
    """Two thousand kinds are told apart; the others are counted together."""
    names = [
        f"{chr(97 + number // 676)}{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}"
        for number in range(9000)
    ]
    rows = [line("ERROR", f"{name} refused") for name in names]
    found = tally(b"".join(rows) + rows[0], "pipe")
    assert len(found.error_lines) == 2001
    assert found.error_lines[b""] == ErrorLine(7000, rows[-1].rstrip())
    assert found.error_lines[re.sub(rb"[0-9]", b"0", rows[0].rstrip())] == ErrorLine(2, rows[0].rstrip())
    assert found.errors == sum(error.count for error in found.error_lines.values())


def test_ignored_errors() -> None:
    """They are in the levels, but neither errors nor evidence."""
    chunk = (
        (line("ERROR", "known 1") + TRACEBACK + line("ERROR", "other 2")) * 50
        + line("ERROR", "known 3")
        + TRACEBACK
    )
    found = Tallier("pipe", ignored=lambda row: b"known" in row).count(chunk)
    assert (found.levels, found.errors, found.ignored) == ({Level.ERROR: 101}, 50, 51)
    assert numbers(found) == {b"0000-00-00 00:00:00,000 | ERROR    | __main__ | other 0": 50}
    assert found.last_error == line("ERROR", "other 2").rstrip()
