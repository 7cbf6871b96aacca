"""Measures and prints; see the package."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bench.page
from bench.notify.child import BenchError
from bench.page.measures import Cost, Load, measure_loads, measure_open, measure_paints, middle
from bench.page.served import running_sidecar

OVERVIEW = "/"
PATHS = (OVERVIEW, "/services/service-004", "/-/healthy")
"""The last one is a line of text: what a browser takes for anything at all."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    services: int = 200
    loads: int = 50
    paints: int = 20
    seconds: float = 30.0
    pages: tuple[int, ...] = (0, 1, 10)
    changing: tuple[float, ...] = (0.0, 0.1)


QUICK = Size(10, 3, 1, 0.5, (0, 2), (0.1,))


def load_table(found: dict[str, tuple[list[Load], list[float]]]) -> Iterator[str]:
    """Yield the lines of the table about one load."""
    yield "| page | first byte | whole page | first paint (slowest) | size |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for path, (loads, paints) in found.items():
        first, whole = middle([load.first for load in loads]), middle([load.whole for load in loads])
        yield (
            f"| `{path}` | {_ms(first)} | {_ms(whole)} | {_ms(middle(paints))} ({_ms(max(paints))}) |"
            f" {loads[-1].size / 1000:.0f} kB |"
        )


def open_table(found: Sequence[Cost]) -> Iterator[str]:
    """Yield the lines of the table about open pages; what they cost is the difference to none."""
    yield "| services changing | pages open | CPU of the sidecar | more than with none | sent to a page |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    none = {cost.changing: cost.share for cost in found if not cost.pages}
    for cost in found:
        more = f"{cost.share - none[cost.changing]:+.2%}" if cost.pages and cost.changing in none else "–"
        sent = f"{cost.sent / 1000:.1f} kB/min" if cost.pages else "–"
        yield f"| {cost.changing:.0%} | {cost.pages} | {cost.share:.2%} | {more} | {sent} |"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def machine() -> str:
    """Return the line that says what the figures were measured on."""
    models = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return (
        f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), "
        f"load {os.getloadavg()[0]:.1f} at the start, Linux {platform.release()}, "
        f"Python {platform.python_version()}."
    )


def tables(size: Size, directory: Path) -> Iterator[str]:
    """Measure and yield the lines of all tables."""
    about = machine()
    with running_sidecar(directory, size.services) as ours:
        yield from load_table(
            {
                path: (measure_loads(ours, path, size.loads), measure_paints(ours, path, size.paints))
                for path in PATHS
            }
        )
        yield ""
        yield from open_table(
            [
                measure_open(ours, OVERVIEW, changing, pages, size.seconds)
                for changing in size.changing
                for pages in size.pages
            ]
        )
    yield ""
    yield about


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.page",
        description=bench.page.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, not how fast")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="watchdog-bench-") as directory:
        try:
            for line in tables(QUICK if args.quick else Size(), Path(directory)):
                print(line, flush=True)
        except BenchError as exc:
            sys.exit(str(exc))


if __name__ == "__main__":
    main()
