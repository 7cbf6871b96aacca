"""One log, from its past on and then as it grows."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from watchdog.errors import CollectError
from watchdog.logs import Batch, LogReader, compile_patterns

NOW = datetime(2026, 2, 19, 2, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(seconds=5)


def line(at: datetime, level: str = "INFO", text: str = "x") -> str:
    """Return a line in the commonest format."""
    return f"{at:%Y-%m-%d %H:%M:%S},000 | {level:8} | __main__ | {text}\n"


def append(path: Path, *lines: str) -> None:
    """Write to the end of the log."""
    with path.open("a") as file:
        file.writelines(lines)


def totals(batch: Batch) -> tuple[int, int]:
    """Return the lines and errors of a batch."""
    return sum(bucket.lines for bucket in batch.buckets), sum(bucket.errors for bucket in batch.buckets)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that goes back beyond the window."""
    path = tmp_path / "execution.log"
    append(path, line(NOW - 2 * HOUR), line(NOW - HOUR / 2, "ERROR", "password=hunter2 refused"))
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    return path


def test_start_and_read(log: Path) -> None:
    """The past is counted at its times, then what is new, once."""
    reader = LogReader(log, patterns=compile_patterns({"refused": "refused"}))
    batch = reader.start(NOW, HOUR)
    assert totals(batch) == (1, 1)
    assert batch.buckets[0].at == NOW - HOUR / 2
    assert batch.buckets[0].matches == {"refused": 1}
    assert batch.last_line_at == NOW - HOUR / 2
    assert batch.covered_since == NOW - HOUR
    assert batch.format_name == "pipe"
    shown = "2026-02-19 01:30:00,000 | ERROR | __main__ | password=*** refused"
    assert batch.last_error == shown.replace("ERROR |", "ERROR    |")
    assert batch.error_lines == (batch.last_error,)

    assert totals(reader.read(NOW + TICK)) == (0, 0)
    append(log, line(NOW + 2 * TICK, "ERROR", "other"), line(NOW + 2 * TICK))
    batch = reader.read(NOW + 2 * TICK)
    assert totals(batch) == (2, 1)
    assert batch.last_line_at == NOW + 2 * TICK
    assert batch.buckets[0].matches == {"refused": 0}
    assert totals(reader.read(NOW + 3 * TICK)) == (0, 0)


CLOCKS = """
-10:00 | 02:00:00 | a line cannot be older than the read before
-00:02 | 02:00:03 | within what we know it is believed
+10:00 | 02:00:05 | nor can it be newer than now
"""


@pytest.mark.parametrize("row", CLOCKS.strip().splitlines())
def test_wrong_clock(log: Path, row: str) -> None:
    """`line's clock against ours | where the line counts`, read at 02:00:05."""
    offset, expected, _ = row.split(" | ")
    minutes, seconds = offset[1:].split(":")
    shift = timedelta(minutes=int(minutes), seconds=int(seconds)) * (-1 if offset[0] == "-" else 1)
    reader = LogReader(log)
    reader.start(NOW, HOUR)
    append(log, line(NOW + TICK + shift))
    assert f"{reader.read(NOW + TICK).last_line_at:%H:%M:%S}" == expected


def test_resume(log: Path) -> None:
    """A later process goes on at the position of the earlier one, at the lines' own times."""
    first = LogReader(log)
    first.start(NOW, HOUR)
    append(log, line(NOW + TICK, "ERROR"))
    log.rename(log.with_name("execution.log.1"))
    append(log, line(NOW + HOUR))
    later = LogReader(log, position=first.position)
    batches = [later.start(NOW + 2 * HOUR, HOUR), later.read(NOW + 2 * HOUR + TICK)]
    assert [totals(batch) for batch in batches] == [(1, 1), (1, 0)]
    assert batches[0].buckets[0].at == NOW
    assert batches[0].last_line_at == NOW + HOUR


def test_missing_at_the_start(tmp_path: Path) -> None:
    """Everything in a file that appears later is new, whether its lines carry times or not."""
    reader = LogReader(tmp_path / "x.log")
    with pytest.raises(CollectError, match="No such file"):
        reader.start(NOW, HOUR)
    with pytest.raises(CollectError, match="No such file"):
        reader.read(NOW + TICK)
    append(tmp_path / "x.log", "[ERROR] [A] b\n", "[INFO] [A] c\n")
    batch = reader.read(NOW + 2 * TICK)
    assert totals(batch) == (2, 1)
    assert batch.covered_since == NOW
    assert batch.buckets[0].at == NOW + 2 * TICK


def test_unreadable_at_the_start(log: Path, tmp_path: Path) -> None:
    """A file that becomes readable later has a past that is not counted as new."""
    reader = LogReader(tmp_path / "link")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(CollectError, match="not a regular file"):
        reader.start(NOW, HOUR)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(log)
    assert totals(reader.read(NOW)) == (1, 1)


def test_gone_and_back(log: Path) -> None:
    """No file is no answer; what is written once it is back is counted."""
    reader = LogReader(log)
    reader.start(NOW, HOUR)
    log.unlink()
    with pytest.raises(CollectError):
        reader.read(NOW + TICK)
    append(log, line(NOW + 2 * TICK, "ERROR"))
    assert totals(reader.read(NOW + 2 * TICK)) == (1, 1)


def test_flood_is_read_in_slices(log: Path) -> None:
    """What one read leaves is told, and not dated to the read that gets to it."""
    reader = LogReader(log)
    reader.start(NOW, HOUR)
    append(log, *[line(NOW + TICK, "ERROR", "x" * 1000)] * 20_000)
    batches = [reader.read(NOW + TICK * number) for number in (1, 2, 3)]
    assert [batch.behind_bytes > 0 for batch in batches] == [True, True, False]
    assert sum(totals(batch)[1] for batch in batches) == 20_000
    assert {bucket.at for batch in batches for bucket in batch.buckets} == {NOW}


def test_traceback_over_two_reads(log: Path) -> None:
    """A record goes on where the last read ended."""
    reader = LogReader(log)
    reader.start(NOW, HOUR)
    append(log, line(NOW, "ERROR", "failed"), "Traceback (most recent call last):\n")
    reader.read(NOW)
    append(log, '  File "x.py"\n', "KeyError: 'action'\n")
    batch = reader.read(NOW + TICK)
    assert [bucket.records for bucket in batch.buckets] == [0]
    assert batch.last_error is not None
    assert batch.last_error.endswith("failed | KeyError: 'action'")


def test_evidence_is_harmless(log: Path) -> None:
    """Evidence is bounded and moves no terminal."""
    reader = LogReader(log)
    reader.start(NOW, HOUR)
    append(log, line(NOW, "ERROR", "\x1b]0;title\x07\x1b[2Jred\x07\u202e " + "x" * 5000))
    shown = reader.read(NOW).last_error
    assert shown is not None
    assert shown.startswith("2026-02-19 02:00:00,000 | ERROR    | __main__ | red  xxx")
    assert len(shown) == 500


def test_given_format(log: Path) -> None:
    """A format that the user names is not detected."""
    reader = LogReader(log, format="dash-level")
    assert reader.start(NOW, HOUR).format_name == "dash-level"
    append(log, "2026-02-19 02:00:00 - INFO - ERROR - gave up\n")
    assert totals(reader.read(NOW + TICK)) == (1, 0)
