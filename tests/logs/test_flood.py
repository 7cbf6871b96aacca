"""A flood in one log is read in slices, counted to the last line, and delays nothing else."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from watchdog.logs.reader import SLICE_BYTES, LogReader
from watchdog.threads import in_thread

NOW = datetime(2026, 2, 19, 2, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LINES = 400_000


@pytest.fixture
def flooded(tmp_path: Path) -> LogReader:
    """A log that was quiet when it was looked at first, and then had two seconds of 200,000 lines each."""
    log = tmp_path / "x.log"
    log.touch()
    reader = LogReader(log)
    reader.start(NOW, HOUR)
    half = b"2026-02-19 02:00:0%d,000 | ERROR    | apply | plan 12345 refused, executed=False, no_position\n"
    quiet = (
        b"2026-02-19 02:00:02,000 | INFO     | apply | plan 12346 executed=True, order 987 filled at 1.5\n"
    )
    log.write_bytes((half % 1) * (LINES // 2) + quiet * (LINES // 2))
    return reader


def test_every_line_of_a_flood_is_counted_once(flooded: LogReader) -> None:
    """Look after look, as much as its time allows; how late we are falls to nothing."""
    first = flooded.read(NOW + timedelta(seconds=5), seconds=0.0)
    assert first.bytes_read <= SLICE_BYTES
    assert first.late == 4  # the next line is as old as the last one read
    assert first.behind_bytes > 0
    batches = [first]
    while batches[-1].behind_bytes:
        batches.append(flooded.read(NOW + timedelta(seconds=5 * len(batches) + 5), seconds=0.05))
    assert batches[-1].late == 0
    buckets = [bucket for batch in batches for bucket in batch.buckets]
    assert sum(bucket.lines for bucket in buckets) == LINES
    assert sum(bucket.errors for bucket in buckets) == LINES // 2
    assert {bucket.at for bucket in buckets} == {NOW}
    flooded.close()


def test_a_look_ends_when_its_time_is_up(flooded: LogReader) -> None:
    """However much is left, one look takes its time and no more than a slice beyond it."""
    began = time.thread_time()
    batch = flooded.read(NOW, seconds=0.05)
    took = time.thread_time() - began
    assert took < 0.5
    assert batch.behind_bytes > 0
    flooded.close()


async def test_others_go_on_meanwhile(flooded: LogReader) -> None:
    """The loop that looks at all other signals gets its turn all the time a flood is read."""
    reading = asyncio.create_task(in_thread(lambda: flooded.read(NOW + timedelta(seconds=5), seconds=0.5)))
    longest, turns = 0.0, 0
    while not reading.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - began)
        turns += 1
    batch = await reading
    assert batch.bytes_read > SLICE_BYTES
    assert turns > 5
    assert longest < 0.5  # a slice holds the interpreter for milliseconds
    flooded.close()
