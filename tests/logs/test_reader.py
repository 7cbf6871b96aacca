"""One log, from its past on and then as it grows."""

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.drawn import ids, rows
from watchdog.errors import CollectError
from watchdog.logs.batch import Batch
from watchdog.logs.patterns import compile_patterns
from watchdog.logs.reader import SLICE_BYTES, LogReader

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
    assert (batch.late, batch.news) == (0, ())  # all of it was there before

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
    later = LogReader(log, memory=json.loads(json.dumps(first.memory())))
    batch = later.start(NOW + 2 * HOUR, 2 * HOUR)
    assert totals(batch) == (2, 1)
    assert [bucket.at for bucket in batch.news] == [NOW, NOW + HOUR]
    assert batch.last_line_at == NOW + HOUR
    assert totals(later.read(NOW + 2 * HOUR + TICK)) == (0, 0)


FATES = """
  while no process of ours ran                     | counted at the start | of it news
  nothing happened                                 | 2                    | -
  two lines were appended                          | 4                    | INFO ERROR
  it was rotated, and two lines came before        | 5                    | INFO ERROR NEW
  it was rotated and compressed, the same          | 5                    | INFO ERROR NEW
  it was deleted and written anew                  | 1                    | NEW
"""


@pytest.mark.parametrize(("fate", "counted", "news"), rows(FATES), ids=ids(FATES))
def test_restart(tmp_path: Path, fate: str, counted: str, news: str) -> None:
    """The window is filled in from before and after the position, and only what is after it is news."""
    log, rotated = tmp_path / "x.log", tmp_path / "x.log.1"
    append(log, line(NOW - HOUR / 2, "WARNING"), line(NOW - HOUR / 4, "CRITICAL"))
    first = LogReader(log)
    first.start(NOW, HOUR)
    if "two lines" in fate or "the same" in fate:
        append(log, line(NOW + TICK), line(NOW + TICK, "ERROR"))
    if "rotated" in fate:
        log.rename(rotated)
    if "compressed" in fate:
        (tmp_path / "x.log.1.gz").write_bytes(gzip.compress(rotated.read_bytes()))
        rotated.unlink()
    if "deleted" in fate:
        log.unlink()
    if "rotated" in fate or "deleted" in fate:
        append(log, line(NOW + TICK, "NOTICE"))
    later = LogReader(log, memory=json.loads(json.dumps(first.memory())))
    batch = later.start(NOW + 2 * TICK, HOUR)
    assert sum(bucket.records for bucket in batch.buckets) == int(counted)
    levels = [level.name for bucket in batch.news for level, count in bucket.tally.levels.items() if count]
    assert " ".join(levels).replace("NOTICE", "NEW") == news.replace("-", "")
    assert totals(later.read(NOW + 3 * TICK)) == (0, 0)
    first.close()
    later.close()


def test_lines_without_times_written_while_away(tmp_path: Path) -> None:
    """They are dated to the look that finds them, and the window goes back to when we last looked."""
    log = tmp_path / "x.log"
    append(log, "[ERROR] [A] seen\n")
    first = LogReader(log)
    first.start(NOW, HOUR)
    append(log, "[ERROR] [A] missed\n")
    batch = LogReader(log, memory=first.memory()).start(NOW + TICK, HOUR)
    assert [(bucket.at, bucket.errors) for bucket in batch.news] == [(NOW, 1)]
    assert batch.covered_since == NOW


@pytest.mark.parametrize(
    "memory", [{}, {"position": 1}, {"position": {"inode": 1}}, {"position": {}, "format": 3}], ids=str
)
def test_memory_that_is_none(log: Path, memory: dict[str, object]) -> None:
    """What nobody of ours wrote is no memory: the file is read as at the very first look."""
    batch = LogReader(log, memory=memory).start(NOW, HOUR)
    assert (totals(batch), batch.news) == ((1, 1), ())


def test_file_that_came_while_we_looked(tmp_path: Path) -> None:
    """All of it is news, also where no line carries a time, and before it was there it held nothing."""
    append(tmp_path / "x.log", "[ERROR] [A] b\n")
    append(tmp_path / "x.log.1", line(NOW - HOUR / 2))  # was counted under another name
    batch = LogReader(tmp_path / "x.log").begin(NOW, HOUR)
    assert totals(batch) == (1, 1)
    assert batch.news == batch.buckets
    assert batch.covered_since == NOW - HOUR


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


def test_compressed(tmp_path: Path) -> None:
    """What is compressed is refused with the cure, and its bytes are not taken for lines."""
    path = tmp_path / "x.log"
    path.write_bytes(gzip.compress(line(NOW).encode()))
    with pytest.raises(CollectError, match=r"x\.log: compressed, so nothing is written to it \(give the log"):
        LogReader(path).start(NOW, HOUR)


def test_unreadable_at_the_start(log: Path, tmp_path: Path) -> None:
    """A file that becomes readable later has a past that is not counted as new."""
    reader = LogReader(tmp_path / "link")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(CollectError, match="not a regular file"):
        reader.start(NOW, HOUR)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(log)
    assert totals(reader.read(NOW)) == (1, 1)


def test_gone_right_after_the_start(log: Path) -> None:
    """What was written after the first look and before the file was deleted is read all the same."""
    reader = LogReader(log)
    reader.start(NOW, HOUR)
    append(log, line(NOW, "ERROR"))
    log.unlink()
    assert totals(reader.read(NOW + TICK)) == (1, 1)
    with pytest.raises(CollectError, match="No such file"):
        reader.read(NOW + 2 * TICK)


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
    before = log.stat().st_size
    append(log, *[line(NOW + TICK, "ERROR", "x" * 1000)] * 20_000)
    first = reader.read(NOW + TICK, seconds=0)
    assert first.bytes_read == pytest.approx(SLICE_BYTES, rel=0.01)
    assert first.behind_bytes + first.bytes_read == log.stat().st_size - before
    assert first.late == pytest.approx(0)
    later = reader.read(NOW + 3 * TICK, seconds=0)
    assert later.late == 10
    rest = reader.read(NOW + 4 * TICK)
    assert (rest.behind_bytes, rest.late) == (0, 0)
    batches = [first, later, rest]
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
