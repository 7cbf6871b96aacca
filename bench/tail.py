"""
What following logs costs: `python -m bench.tail`.

Each row is the processor time of the looks alone (`time.thread_time`), as a share of one core at one
look every five seconds; what writes the log runs between the looks and is not counted.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from watchdog.logs.journal import JournalReader
from watchdog.logs.reader import LogReader
from watchdog.threads import in_thread

EVERY = timedelta(seconds=5)
LOOKS = 12
START = datetime(2026, 2, 19, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
REMOTE = "/usr/lib/systemd/systemd-journal-remote"


def lines(at: datetime, count: int) -> bytes:
    """Return *count* lines of five seconds, every other one an error."""
    texts = []
    for number in range(min(count, 10_000) // 5):
        level, text = ("ERROR", "executed=False, no_position") if number % 2 else ("INFO", "executed=True")
        texts.append(
            f"@,{number % 1000:03} | {level:8} | apply | plan {number} {text} side=SELL qty=0.{number % 97}\n"
        )
    second = "".join(texts).encode() * (count // 5 // len(texts))
    times = (at + timedelta(seconds=each) for each in range(5))
    return b"".join(second.replace(b"@", f"{when:%Y-%m-%d %H:%M:%S}".encode()) for when in times)


def follow(folder: Path, per_second: int) -> tuple[float, float, float]:
    """Return the share of a core, the rate in MB/s and the greatest lateness of a log so busy."""
    log = folder / f"{per_second}.log"
    log.touch()
    reader = LogReader(log)
    reader.start(START, HOUR)
    spent, late, size, counted = 0.0, 0.0, 0, 0
    for look in range(LOOKS):
        now = START + EVERY * (look + 1)
        piece = lines(now - EVERY, int(per_second * EVERY.total_seconds()))
        with log.open("ab") as file:
            file.write(piece)
        size += len(piece)
        began = time.thread_time()
        batch = reader.read(now)
        spent += time.thread_time() - began
        late = max(late, batch.late)
        counted += sum(bucket.lines for bucket in batch.buckets)
    reader.close()
    left = 0 if late else per_second * 5 * LOOKS - counted
    assert not left, f"{left} lines were not counted"
    log.unlink()
    seconds = LOOKS * EVERY.total_seconds()
    return spent / seconds, size / seconds / 1e6, late


def idle(folder: Path, files: int) -> float:
    """Return the share of a core that so many logs cost in which nothing happens."""
    readers = []
    for number in range(files):
        path = folder / f"idle-{number}.log"
        path.write_bytes(lines(START, 10))
        readers.append(LogReader(path))
        readers[-1].start(START, HOUR)

    def look(number: int) -> None:
        for reader in readers:
            reader.read(START + EVERY * number)

    for number in range(3):
        look(number)
        time.sleep(0.6)  # then their status is trusted
    began = time.thread_time()
    for number in range(LOOKS):
        look(3 + number)
    spent = time.thread_time() - began
    for reader in readers:
        reader.close()
    return spent / (LOOKS * EVERY.total_seconds())


async def pauses(folder: Path) -> float:
    """Return the longest time for which the loop did not get its turn while a flood was read."""
    log = folder / "flood.log"
    log.touch()
    reader = LogReader(log)
    reader.start(START, HOUR)
    log.write_bytes(lines(START, 1_000_000))
    reading = asyncio.create_task(in_thread(lambda: reader.read(START + EVERY)))
    longest = 0.0
    while not reading.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - began)
    await reading
    reader.close()
    return longest


def journals(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield what a look at a journal of 200,000 entries costs, journalctl included, in two ways."""
    if shutil.which("journalctl") is None or not os.path.exists(REMOTE):
        return
    where = folder / "journal"
    where.mkdir()
    micros = int(START.timestamp() * 1e6)
    entry = (
        "__REALTIME_TIMESTAMP={at}\n__MONOTONIC_TIMESTAMP={at}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n"
        "MESSAGE=INFO:root:plan {n} executed\nPRIORITY=6\n_SYSTEMD_UNIT=a{unit}.service\n\n"
    )
    text = "".join(entry.format(at=micros + n * 1000, n=n, unit=n % 20) for n in range(200_000))
    made = subprocess.run(
        [REMOTE, "-o", f"{where}/a.journal", "-"], input=text.encode(), capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr
    argv = ["journalctl", f"--directory={where}", "-o", "json", "_SYSTEMD_UNIT=a7.service"]
    last = subprocess.run(
        [*argv, "-n", "1", "--show-cursor"], capture_output=True, text=True, check=True
    ).stdout
    cursor = last.rsplit("-- cursor: ", 1)[1].strip()
    yield "one run a look, nothing new", _children(lambda: _run([*argv, f"--after-cursor={cursor}"]))
    path = os.environ["PATH"]
    shim = folder / "bin" / "journalctl"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shutil.which("journalctl")} --directory={where} "$@"\n')
    shim.chmod(0o755)
    os.environ["PATH"] = f"{shim.parent}:{path}"
    reader = JournalReader("a7")
    began = time.perf_counter()
    reader.start(START + timedelta(seconds=200), HOUR)
    print(f"first look at 10,000 of 200,000 entries: {time.perf_counter() - began:.2f}s")
    reader.read(START + timedelta(seconds=200))
    began = time.thread_time()
    for number in range(LOOKS):
        reader.read(START + timedelta(seconds=200) + EVERY * number)
    yield "kept running, nothing new", (time.thread_time() - began) / LOOKS
    reader.close()
    os.environ["PATH"] = path


def _run(argv: list[str]) -> None:
    subprocess.run(argv, capture_output=True, check=True)


def _children(work: Callable[[], None]) -> float:
    before = os.times()
    for _ in range(LOOKS):
        work()
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return (spent + after.user - before.user + after.system - before.system) / LOOKS


def main() -> None:
    """Print one row a case."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for per_second in (100, 10_000, 200_000):
            share, rate, late = follow(folder, per_second)
            print(
                f"{per_second:>7,} lines/s ({rate:.2f} MB/s): {share:.2%} of a core, at most {late:.0f}s late"
            )
        for files in (1, 200):
            print(f"{files} idle files: {idle(folder, files):.3%} of a core")
        print(f"longest pause of the loop while 1,000,000 lines are read: {asyncio.run(pauses(folder)):.3f}s")
        for how, seconds in journals(folder):
            print(f"journal, {how}: {seconds * 1000:.1f} ms a look")


if __name__ == "__main__":
    main()
