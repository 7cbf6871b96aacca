"""What a log remembers of the time before the start."""

import importlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.drawn import ids, rows
from watchdog.errors import CollectError
from watchdog.logs.backfill import backfill
from watchdog.logs.patterns import compile_patterns
from watchdog.logs.tail import Tail

NOW = datetime(2026, 2, 19, 2, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MiB = 1 << 20


def write(path: Path, *rows: str) -> Path:
    """Write rows of `HH:MM:SS LEVEL text`, and others as they are, as of NOW."""
    lines = (f"2026-02-19 {row.replace(' ', ' | ', 2)}" if row[2:3] == ":" else row for row in rows)
    path.write_text("".join(line + "\n" for line in lines))
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    return path


def counts(path: Path, window: timedelta = HOUR, limit: int = MiB) -> list[str]:
    """Return `slot: lines errors` of a backfill."""
    past = backfill(path, NOW - window, limit, NOW)
    return [f"{bucket.at:%H:%M:%S}: {bucket.lines} {bucket.errors}" for bucket in past.buckets]


def test_buckets(tmp_path: Path) -> None:
    """Lines are counted in the ten seconds in which they were written."""
    log = write(
        tmp_path / "x.log",
        "00:59:59 ERROR too old",
        "  with its traceback",
        "01:00:00 INFO a",
        "01:00:09 ERROR b",
        "  belongs to it",
        "01:00:10 INFO c",
        "01:59:59 ERROR d",
    )
    assert counts(log) == ["01:00:00: 3 1", "01:00:10: 1 0", "01:59:50: 1 1"]


def test_result(tmp_path: Path) -> None:
    """The rest of what a backfill knows."""
    log = write(tmp_path / "x.log", "00:30:00 INFO old", "01:30:00 ERROR refused", "01:45:00 INFO refused")
    past = backfill(log, NOW - HOUR, MiB, NOW, patterns=compile_patterns({"no": "refused$"}))
    assert past.covered
    assert past.covered_since == NOW - HOUR
    assert past.last_line_at == NOW - timedelta(minutes=15)
    assert [bucket.matches for bucket in past.buckets] == [{"no": 1}, {"no": 1}]
    assert past.position.offset == log.stat().st_size


def test_rotated_sibling(tmp_path: Path) -> None:
    """Where the file begins inside the window, the one before it is read too."""
    write(tmp_path / "x.log.1", "00:30:00 INFO old", "01:10:00 ERROR a", "01:20:00 INFO b")
    log = write(tmp_path / "x.log", "01:30:00 INFO c")
    assert counts(log) == ["01:10:00: 1 1", "01:20:00: 1 0", "01:30:00: 1 0"]
    assert counts(log, timedelta(minutes=25)) == []
    write(log)
    assert counts(log) == ["01:10:00: 1 1", "01:20:00: 1 0"]


ROTATED = """
  beside x.log, newest first                              | packed by
  x.log.1 x.log.2 x.log.3                                 | nothing
  x.log-20260219 x.log-20260218 x.log-20260217            | nothing
  x.log.2026-02-19 x.log.2026-02-18 x.log.2026-02-17      | nothing
  x-2026-02-19.log x-2026-02-18.log x-2026-02-17.log      | nothing
  x.log.1.gz x.log.2.gz x.log.3.gz                        | gzip
  x.log.1.bz2 x.log.2.bz2 x.log.3.bz2                     | bz2
  x.log-20260219.xz x.log-20260218.xz x.log-20260217.xz   | lzma
"""


@pytest.mark.parametrize(("names", "packed"), rows(ROTATED), ids=ids(ROTATED))
def test_window_over_many_rotations(tmp_path: Path, names: str, packed: str) -> None:
    """Whatever rotation calls its files, the window is filled in from as many of them as it takes."""
    texts = ["01:50:00 INFO c", "01:40:00 ERROR b", "00:30:00 INFO old"]
    for name, text in zip(names.split(), texts, strict=True):
        path = write(tmp_path / name, text)
        if packed != "nothing":
            path.write_bytes(importlib.import_module(packed).compress(path.read_bytes()))
    log = write(tmp_path / "x.log", "01:55:00 INFO d")
    assert counts(log) == ["01:40:00: 1 1", "01:50:00: 1 0", "01:55:00: 1 0"]
    assert backfill(log, NOW - HOUR, MiB, NOW).covered


def test_utf_16(tmp_path: Path) -> None:
    """Times are read and offsets found in a log of two-byte signs."""
    log = write(tmp_path / "x.log", "00:30:00 INFO old", *["01:30:00 ERROR größer"] * 3, "01:40:00 INFO b")
    log.write_bytes(log.read_text().encode("utf-16"))
    past = backfill(log, NOW - HOUR, MiB, NOW)
    assert [(bucket.lines, bucket.errors) for bucket in past.buckets] == [(3, 3), (1, 0)]
    assert past.position.offset == log.stat().st_size


def test_until_a_position(tmp_path: Path) -> None:
    """What an earlier process had not read is left out, also where the file was rotated since."""
    log = write(tmp_path / "x.log", "01:10:00 ERROR a", "01:20:00 INFO b")
    seen = backfill(log, NOW - HOUR, MiB, NOW).position
    with log.open("a") as file:
        file.write("2026-02-19 01:30:00 | ERROR | not seen\n")
    log.rename(tmp_path / "x.log.1")
    write(log, "01:40:00 INFO nor this")
    past = backfill(log, NOW - HOUR, MiB, NOW, until=seen)
    assert [f"{bucket.at:%H:%M}" for bucket in past.buckets] == ["01:10", "01:20"]
    assert (past.found, past.position, past.last_line_at) == (True, seen, NOW - timedelta(minutes=20))


def test_the_files_begin_inside_the_window(tmp_path: Path) -> None:
    """Of the time before the first line nothing is known, if older lines may lie elsewhere."""
    log = write(tmp_path / "x.log", "01:30:00 INFO c")
    (tmp_path / "x.log.2.gz").touch()
    past = backfill(log, NOW - HOUR, MiB, NOW)
    assert not past.covered
    assert past.covered_since == NOW - timedelta(minutes=30)


def test_a_file_that_never_held_more_covers_the_window(tmp_path: Path) -> None:
    """Read from its beginning, with nothing rotated away beside it: before its first line there was none."""
    log = write(tmp_path / "x.log", "01:30:00 INFO c")
    past = backfill(log, NOW - HOUR, MiB, NOW)
    assert (past.covered, past.covered_since) == (True, NOW - HOUR)


def test_quiet_log_is_covered(tmp_path: Path) -> None:
    """A last line older than the window means that nothing was written since."""
    past = backfill(write(tmp_path / "x.log", "00:10:00 INFO last"), NOW - HOUR, MiB, NOW)
    assert (past.buckets, past.covered) == ((), True)
    assert past.last_line_at == NOW - timedelta(minutes=110)


def test_limit(tmp_path: Path) -> None:
    """A log too large for the limit is counted from its end."""
    rows = [f"01:{minute:02}:{second:02} INFO {'x' * 400}" for minute in range(60) for second in range(60)]
    log = write(tmp_path / "x.log", "00:10:00 INFO old", *rows)
    past = backfill(log, NOW - HOUR, 300_000, NOW)
    assert not past.covered
    assert NOW - timedelta(minutes=25) < past.covered_since < NOW - timedelta(minutes=10)
    seconds = (NOW - past.covered_since).seconds
    assert seconds <= sum(bucket.lines for bucket in past.buckets) < seconds + 10
    assert counts(log, limit=4 * MiB) == [f"01:{n // 6:02}:{n % 6}0: 10 0" for n in range(360)]


def test_lines_without_times(tmp_path: Path) -> None:
    """Lines that cannot be placed in time are not counted; the file says when it was written."""
    past = backfill(write(tmp_path / "x.log", "[ERROR] [A] b", "[INFO] [A] c"), NOW - HOUR, MiB, NOW)
    assert (past.buckets, past.covered, past.last_line_at) == ((), False, NOW)


def test_local_time(tmp_path: Path) -> None:
    """A program that logs the time of its own zone is understood."""
    log = write(tmp_path / "x.log", "02:30:00 ERROR half past one in UTC", "03:00:00 INFO two in UTC")
    assert counts(log) == ["01:30:00: 1 1", "02:00:00: 1 0"]


def test_tailing_goes_on_where_it_ended(tmp_path: Path) -> None:
    """An unfinished last line is left for the tail, and nothing else is."""
    log = write(tmp_path / "x.log", "01:30:00 INFO a")
    with log.open("a") as file:
        file.write("2026-02-19 01:40:00 | INFO")
        file.flush()
        past = backfill(log, NOW - HOUR, MiB, NOW)
        file.write(" | b\nc\n")
    assert sum(bucket.lines for bucket in past.buckets) == 1
    assert Tail(log, past.position).read(MiB).data == b"2026-02-19 01:40:00 | INFO | b\nc\n"


@pytest.mark.parametrize("content", [b"", b"\n", b"no end", b"\0" * 99, b"\xff\xfe{\n{{{[[\n", b"x" * MiB])
def test_odd_files(tmp_path: Path, content: bytes) -> None:
    """No content is an error."""
    log = tmp_path / "x.log"
    log.write_bytes(content)
    past = backfill(log, NOW - HOUR, MiB // 2, NOW)
    assert past.buckets == ()


def test_missing(tmp_path: Path) -> None:
    """A file that cannot be read has no history, not an empty one."""
    with pytest.raises(CollectError, match=r"x\.log: No such file or directory$"):
        backfill(tmp_path / "x.log", NOW - HOUR, MiB, NOW)
