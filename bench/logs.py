"""
How fast are lines counted by level, and are the counts exact? Ours beside mtail and grep.

    python -m bench.logs --mb 200

Every tool reads the same file in turn, and a round over all of them is made several times, so
that what slows the machine down slows all of them down; the best round of each counts.
"""

import argparse
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from watchdog.errors import CollectError
from watchdog.logs import Level, LogReader, Tallier

NOW = datetime(2026, 2, 19, 12, 0, tzinfo=UTC)
TRAP = "gave up after | ERROR    | and | CRITICAL | ERROR"
MESSAGES = {
    "INFO": (
        "[PATH1B] RX apply.result msg_id=1770767894362-0 decision=EXECUTE executed=False symbol=AAAUSDT",
        "[PATH1B] SKIP AAAUSDT: blocked by risk (risk_layer0_fail:heartbeat_missing)",
        "HARVEST_TICK scanned=44 evaluated=1 emitted=0 skipped_risk=0 skipped_price=0 api_calls=1",
        "🚫 TERMINAL STATE: FAILED | AAAUSDT BUY | Reason: API error",
        TRAP,
    ),
    "ERROR": (
        "❌ Failed to parse TradeIntent for AAAUSDT: TradeIntent.__init__() missing 2 required positional "
        "arguments: 'action' and 'confidence'",
        "❌ exchange API error: APIError(code=-4164): Order's notional must be no smaller than 5",
    ),
    "WARNING": ("could not read ERROR rate, 2026-02-19 01:00:00,000 | ERROR    | inside", TRAP),
    "DEBUG": ('{"level": "ERROR", "msg": "a payload"}',),
    "CRITICAL": ("kill switch set",),
}
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "/opt/quantum/execution.py", line 214, in handle\n'
    "    intent = TradeIntent(**payload)\n"
    "TypeError: TradeIntent.__init__() missing 2 required positional arguments\n"
)
MTAIL = r"""
counter records by level
/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d{3} \| (?P<level>[A-Z]+) *\| / {
  records[$level]++
}
"""
ERROR_LINE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3} \| (ERROR|CRITICAL) *\|"

Counts = dict[str, int]


def write_log(path: Path, megabytes: int, traceback_every: int) -> Counts:
    """Write a log as the outage's was, half of it errors, and return its exact counts."""
    dice = random.Random(4711)
    levels = dice.choices(list(MESSAGES), [50, 42, 5, 2.9, 0.1], k=20_000)
    counts = Counter[str]()
    part, at = [], NOW - timedelta(hours=6)
    with path.open("wb") as file:
        while file.tell() < megabytes * 1_000_000:
            for level in levels:
                at += timedelta(milliseconds=7)
                text = dice.choice(MESSAGES[level])
                part.append(
                    f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03} | {level:8} | __main__ | {text}\n"
                )
                counts[level] += 1
                if level == "ERROR" and counts[level] % traceback_every == 0:
                    part.append(TRACEBACK)
            file.write("".join(part).encode())
            part.clear()
    return dict(counts)


def by_our_reader(path: Path) -> Counts:
    """Count through `LogReader`, as the `log` signal does: rotation, times, evidence and all."""
    moved = path.with_suffix(".late")
    reader = LogReader(moved)
    with suppress(CollectError):
        reader.start(NOW - timedelta(hours=7), timedelta(hours=1))
    path.rename(moved)
    counts = Counter[str]()
    try:
        behind = True
        while behind:
            batch = reader.read(NOW)
            behind = batch.behind_bytes > 0
            for bucket in batch.buckets:
                counts.update({level.name: count for level, count in bucket.tally.levels.items()})
    finally:
        reader.close()
        moved.rename(path)
    return dict(counts)


def by_our_tally(path: Path) -> Counts:
    """Count without times and evidence."""
    tallier = Tallier("pipe")
    counts = Counter[Level]()
    for chunk in _chunks(path):
        counts.update(tallier.count(chunk).levels)
    return {level.name: count for level, count in counts.items()}


def by_mtail(path: Path) -> Counts:
    """Count with an mtail program that anchors its expression to the whole header."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "levels.mtail").write_text(MTAIL)
        command = ["mtail", "--one_shot", "--progs", folder, "--logs", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    values = json.loads(text)["records"][0]["LabelValues"]
    return {value["Labels"][0]: value["Value"]["Value"] for value in values}


def by_grep(path: Path) -> Counts:
    """Count the error lines alone, by the whole header."""
    return {"errors": _grep("-E", ERROR_LINE, path)}


def by_plain_grep(path: Path) -> Counts:
    """Count the error lines alone, as one does in a hurry."""
    return {"errors": _grep("-F", "ERROR", path)}


def _grep(kind: str, expression: str, path: Path) -> int:
    command = ["env", "LC_ALL=C", "grep", "-c", kind, expression, str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def _chunks(path: Path) -> Iterator[bytes]:
    rest = b""
    with path.open("rb") as file:
        while data := file.read(8 << 20):
            data = rest + data
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            yield data[:end]


TOOLS: dict[str, tuple[str, Callable[[Path], Counts]]] = {
    "watchdog, whole path (`LogReader`)": ("", by_our_reader),
    "watchdog, counting only (`Tallier`)": ("", by_our_tally),
    "mtail, by level": ("mtail", by_mtail),
    "grep -cE, error lines only": ("grep", by_grep),
    "grep -cF ERROR": ("grep", by_plain_grep),
}


def is_exact(found: Counts, known: Counts) -> bool:
    """Say whether a tool found what was written, in so far as it counts it."""
    if "errors" in found:
        return found["errors"] == known["ERROR"] + known["CRITICAL"]
    return {level: count for level, count in found.items() if level != "NONE"} == known


def measure(path: Path, known: Counts, rounds: int) -> Iterator[tuple[str, float, str]]:
    """Yield each tool's best speed in MB/s and whether it was exact."""
    size = path.stat().st_size / 1e6
    best: dict[str, float] = {}
    exact: dict[str, str] = {}
    for _ in range(rounds):
        for name, (program, count) in TOOLS.items():
            if program and not shutil.which(program):
                continue
            began = time.perf_counter()
            found = count(path)
            best[name] = max(best.get(name, 0), size / (time.perf_counter() - began))
            exact[name] = "yes" if is_exact(found, known) else _how_wrong(found, known)
    for name, speed in best.items():
        yield name, speed, exact[name]


def _how_wrong(found: Counts, known: Counts) -> str:
    if "errors" not in found:
        return "no"
    errors = known["ERROR"] + known["CRITICAL"]
    return f"no, {found['errors'] / errors - 1:+.0%}"


def main() -> None:
    """Print a table for a log without tracebacks and one for a log with them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mb", type=int, default=200, help="size of the log (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all tools (default: 3)")
    options = parser.parse_args()
    for program in sorted(
        {program for program, _ in TOOLS.values() if program and not shutil.which(program)}
    ):
        print(f"{program} is not installed, so it is left out.\n")
    for title, every in (("one line, one record", 1 << 62), ("a traceback at every 20th error", 20)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "execution.log"
            known = write_log(path, options.mb, every)
            print(f"### {title}: {path.stat().st_size / 1e6:.0f} MB, {sum(known.values()):,} records\n")
            rows = list(measure(path, known, options.rounds))
        ours = rows[0][1]
        print("| | MB/s | watchdog is | exact |\n| --- | ---: | ---: | --- |")
        for name, speed, exact in rows:
            print(f"| {name} | {speed:,.0f} | {ours / speed:.2f}× | {exact} |")
        print()


if __name__ == "__main__":
    main()
