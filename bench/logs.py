"""
How fast are log lines counted by level and by pattern, and are the counts exact?

    python -m bench.logs                 # all cases, 100 MB each
    python -m bench.logs --mb 500 plain json patterns

Ours beside mtail with an equal program, `grep -c` and `rg -c`, all on the same file, in MB by the second
for which each kept a core busy: mtail and rg use several, and a busy machine makes all wait. A round
over all of them is made several times; the best round of each counts.
"""

import argparse
import resource
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.logcases import CASES, Case, Counts, write_log
from bench.logtools import TOOLS, is_exact

OURS = next(iter(TOOLS))


@dataclass(frozen=True, slots=True)
class Row:
    """The best speed of one tool, and how far it was exact."""

    tool: str
    speed: float
    exact: str


def cpu_seconds() -> float:
    """Return how long this process and those that it waited for have kept a core busy."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(case: Case, path: Path, known: Counts, rounds: int) -> Iterator[Row]:
    """Yield each tool's best speed in MB/s of one core, and whether it was exact."""
    size = path.stat().st_size / 1e6
    best: dict[str, float] = {}
    exact: dict[str, str] = {}
    for _ in range(rounds):
        for name, (program, count) in TOOLS.items():
            if program and not shutil.which(program):
                continue
            began = cpu_seconds()
            found = count(case, path)
            best[name] = max(best.get(name, 0), size / (cpu_seconds() - began))
            exact[name] = is_exact(case, found, known)
    for name, speed in best.items():
        yield Row(name, speed, exact[name])


def show(case: Case, megabytes: float, rounds: int) -> None:
    """Print the table of one case."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "service.log"
        known = write_log(path, case, megabytes)
        print(f"### {case.title}: {path.stat().st_size / 1e6:.0f} MB, {known['lines']:,} lines\n")
        rows = list(measure(case, path, known, rounds))
    ours = next(row.speed for row in rows if row.tool == OURS)
    print("| | MB/s | watchdog is | exact |\n| --- | ---: | ---: | --- |")
    for row in rows:
        print(f"| {row.tool} | {row.speed:,.0f} | {ours / row.speed:.2f}× | {row.exact} |")
    print(flush=True)


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument("--mb", type=float, default=100, help="size of each log (default: 100)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all tools (default: 3)")
    options = parser.parse_args()
    if unknown := set(options.cases) - CASES.keys():
        parser.error(f"no such case: {', '.join(sorted(unknown))} (there are {', '.join(CASES)})")
    for program in sorted({program for program, _ in TOOLS.values() if program} - {""}):
        if not shutil.which(program):
            print(f"{program} is not installed, so it is left out.\n")
    for name in options.cases or CASES:
        show(CASES[name], options.mb, options.rounds)


if __name__ == "__main__":
    main()
